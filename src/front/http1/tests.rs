//! Requests however they come in, answers however they go out.

use std::task::Poll;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::seen::Seen;
use super::*;
use crate::seam::Head;
use crate::wire::Lines;

fn request(head: &str, body: &str) -> Seen {
    Seen::Request(head.into(), body.into(), true)
}

/// All of what is sent, arriving in pieces of at most this size, and what is
/// left in the end.
async fn sees(wire: &[u8], piece: usize) -> (Vec<Seen>, usize) {
    let (mut client, server) = duplex(piece);
    let mut session = Http1::new(server, Bounds::default());
    let send = async {
        // Who is refused is read no further.
        let _ = client.write_all(wire).await;
        let _ = client.shutdown().await;
    };
    let take = async {
        let all = seen::all(&mut session, |_, _| {}).await;
        let (server, come) = session.into_parts();
        drop(server);
        (all, come.len())
    };
    tokio::join!(send, take).1
}

#[tokio::test]
async fn requests_are_the_same_however_they_come() {
    let wire = b"\r\n\r\nPOST /a?b HTTP/1.1\r\nhost: h\r\nContent-Length: 5\r\n\r\nhello\
        \r\nPOST http://h/c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked \r\n\r\n\
        3;x=y\r\nabc\r\n0002\r\nde\r\n0\r\ntrailer: 1\r\n\r\n\
        OPTIONS * HTTP/1.1\r\n\r\n\
        GET /bytes HTTP/1.1\r\nhost: h\r\nx: \xc3\xa9\r\n\r\n\
        POST /d HTTP/1.1\r\ncontent-length: 0\r\n\r\n\
        POST /e HTTP/1.0\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx";
    let wanted = vec![
        request("POST /a?b HTTP/1.1", "hello"),
        request("POST http://h/c HTTP/1.1", "abcde"),
        request("OPTIONS * HTTP/1.1", ""),
        request("GET /bytes HTTP/1.1", ""),
        request("POST /d HTTP/1.1", ""),
        Seen::Request("POST /e HTTP/1.0".into(), b"x".into(), false),
    ];
    for piece in [1, 2, 3, 7, 50, 64, 1000] {
        assert_eq!(sees(wire, piece).await, (wanted.clone(), 0), "{piece}");
    }
}

#[tokio::test]
async fn bodies_arrive_whole_whatever_their_size() {
    for size in [1, 1000, READ - 90, READ, READ + 1, 100_000, 3 << 20] {
        let body: String = ('a'..='z').cycle().take(size).collect();
        let wire = format!("PUT / HTTP/1.1\r\ncontent-length: {size}\r\n\r\n{body}GET /");
        let (all, left) = sees(wire.as_bytes(), 1 << 16).await;
        let wanted = vec![request("PUT / HTTP/1.1", &body), Seen::Refused];
        assert!((all, left) == (wanted, 5), "{size}");
    }
}

#[tokio::test]
async fn what_two_readers_could_see_differently_is_refused() {
    for lines in [
        "transfer-encoding: xchunked",
        "transfer-encoding: chunkedx",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: ,chunked",
        "transfer-encoding: identity",
        "transfer-encoding:",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding\0: chunked",
        " transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\nTransfer-Encoding: chunked",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: 5, 5",
        "content-length: +5",
        "content-length: -5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 5;",
        "content-length: 18446744073709551616",
        "content-length:",
        "content-length : 5",
        "content_length 5",
        "x: 1\r\n content-length: 5",
        "x: a\0b",
        "x: a\rb: c",
        "x: a\r\rb: c",
        "x\r: a",
        "x: a\nb: c",
        "x: a\ncontent-length: 5",
        "x: a\n",
        "x: a\n\n",
        ": a",
        "host: a\r\nhost: a",
        "host: user@a",
    ] {
        let wire = format!("POST / HTTP/1.1\r\nconnection: x\r\n{lines}\r\n\r\nhello");
        for piece in [1, 1000] {
            let (all, _) = sees(wire.as_bytes(), piece).await;
            assert_eq!(all, [Seen::Refused], "{lines:?} by {piece}");
        }
    }
    for wire in [
        "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / / HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "GET http://h/a#b HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "\rGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "GET / HTTP/1.1\n\r\n",
        "GET / HTTP/1.1\r\n\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\n\r\n",
        "\n",
        "GET / HTTP/1.1\r\n",
        "G",
    ] {
        for piece in [1, 1000] {
            let (all, _) = sees(wire.as_bytes(), piece).await;
            assert_eq!(all, [Seen::Refused], "{wire:?} by {piece}");
        }
    }
}

#[tokio::test]
async fn bodies_without_an_end_are_told_from_nonsense() {
    for (wire, lost) in [
        ("content-length: 5\r\n\r\nhell", Lost::Gone),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            Lost::Gone,
        ),
        ("transfer-encoding: chunked\r\n\r\n", Lost::Gone),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nhello!",
            Lost::Malformed,
        ),
        ("transfer-encoding: chunked\r\n\r\n+5\r\n", Lost::Malformed),
        (
            "transfer-encoding: chunked\r\n\r\n0\r\nGET http://h/ HTTP/1.1\r\nhost: h\r\n\r\n",
            Lost::Malformed,
        ),
        (
            "transfer-encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
            Lost::Malformed,
        ),
    ] {
        let wire = format!("POST / HTTP/1.1\r\n{wire}");
        for piece in [1, 1000] {
            let (all, _) = sees(wire.as_bytes(), piece).await;
            assert_eq!(all, [Seen::Lost(lost)], "{wire:?} by {piece}");
        }
    }
}

#[tokio::test]
async fn only_so_much_of_a_head_is_read() {
    let long = |size| format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(size));
    let fits = sees(long((64 << 10) - 100).as_bytes(), 1 << 16).await;
    assert_eq!(fits.0, [request("GET / HTTP/1.1", "")]);
    for size in [64 << 10, 5 << 20] {
        let (all, left) = sees(long(size).as_bytes(), 1 << 16).await;
        assert_eq!(all, [Seen::Refused]);
        assert!(left <= (64 << 10) + 2 * READ, "{left} were read");
    }
    let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "x: 1\r\n".repeat(count));
    let fits = sees(many(256).as_bytes(), 1000).await;
    assert_eq!(fits.0, [request("GET / HTTP/1.1", "")]);
    let (all, _) = sees(many(257).as_bytes(), 1000).await;
    assert_eq!(all, [Seen::Refused]);
}

/// Sends this and reads a head.
async fn asked(wire: &str) -> (DuplexStream, Http1<DuplexStream>) {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(wire.as_bytes()).await.unwrap();
    let mut session = Http1::new(server, Bounds::default());
    assert_eq!(session.read_head().await, Ok(true));
    (client, session)
}

/// What has come to a client by now, and how often the time of day stood in
/// it.
async fn told(client: &mut DuplexStream) -> (String, usize) {
    let mut all = [0; 4096];
    let read = poll_fn(|context| {
        let mut into = ReadBuf::new(&mut all);
        let read = Pin::new(&mut *client).poll_read(context, &mut into);
        Poll::Ready(read.map(|_| into.filled().len()))
    });
    let read = match read.await {
        Poll::Ready(read) => read,
        Poll::Pending => 0,
    };
    let text = String::from_utf8(all[..read].to_vec()).unwrap();
    let lines = text.split_inclusive("\r\n");
    let (dates, rest): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("date: "));
    for date in &dates {
        assert!(httpdate::parse_http_date(date["date: ".len()..].trim()).is_ok());
    }
    (rest.concat(), dates.len())
}

fn head(status: u16) -> Head<Lines> {
    let mut headers = Lines::default();
    headers.push(
        HeaderName::from_static("x-a"),
        HeaderValue::from_static("1"),
    );
    // What an upstream says of its own connection is not ours.
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::CONTENT_LENGTH, "77"),
        (header::DATE, "then"),
        (header::TRANSFER_ENCODING, "gzip"),
    ] {
        headers.push(name, HeaderValue::from_static(value));
    }
    Head {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
    }
}

#[tokio::test]
async fn answers_say_how_they_end() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    for (asks, status, wanted) in [
        (
            get,
            200,
            "200 OK\r\nx-a: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
        ),
        (
            "HEAD / HTTP/1.1\r\n\r\n",
            200,
            "200 OK\r\nx-a: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
        ),
        (
            get,
            204,
            "204 No Content\r\nx-a: 1\r\nconnection: keep-alive\r\n\r\n",
        ),
        (
            get,
            304,
            "304 Not Modified\r\nx-a: 1\r\nconnection: keep-alive\r\n\r\n",
        ),
        (
            get,
            529,
            "529 \r\nx-a: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
        ),
        (
            "GET / HTTP/1.0\r\n\r\n",
            404,
            "404 Not Found\r\nx-a: 1\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n",
            413,
            "413 Payload Too Large\r\nx-a: 1\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        ),
    ] {
        let (mut client, mut session) = asked(asks).await;
        session.begin(&head(status), Some(5));
        let body = vec![Bytes::from_static(b"hel"), Bytes::from_static(b"lo")];
        session.whole(body).await.unwrap();
        let is_kept = wanted.contains("keep-alive");
        assert_eq!(session.is_kept(), is_kept, "{asks:?}");
        let (text, dates) = told(&mut client).await;
        assert_eq!(text, format!("HTTP/1.1 {wanted}"), "{asks:?}");
        assert_eq!(dates, 1);
    }
}

#[tokio::test]
async fn a_streams_head_leaves_with_its_first_bytes() {
    let (mut client, mut session) = asked("GET / HTTP/1.1\r\n\r\n").await;
    session.begin(&head(200), None);
    assert_eq!(told(&mut client).await, (String::new(), 0));
    session.write(Bytes::from_static(b"one")).await.unwrap();
    let head =
        "HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n";
    assert_eq!(told(&mut client).await, (format!("{head}3\r\none\r\n"), 1));
    session.write(Bytes::new()).await.unwrap();
    let long = "x".repeat(2000);
    session.write(long.clone().into()).await.unwrap();
    let long = format!("7d0\r\n{long}\r\n");
    assert_eq!(told(&mut client).await, (long, 0));
    session.end().await.unwrap();
    assert_eq!(told(&mut client).await, ("0\r\n\r\n".into(), 0));
    assert!(session.is_kept());
}

#[tokio::test]
async fn a_head_does_not_wait_for_a_body_that_is_not_there() {
    let (mut client, mut session) = asked("GET / HTTP/1.1\r\n\r\n").await;
    session.begin(&head(200), None);
    let once = poll_fn(|context| {
        let mut gone = std::pin::pin!(session.gone());
        Poll::Ready(gone.as_mut().poll(context))
    });
    assert!(once.await.is_pending());
    assert_eq!(told(&mut client).await.1, 1);
}

#[tokio::test]
async fn http_1_0_reads_a_stream_to_the_connections_end() {
    let (mut client, mut session) = asked("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
    assert!(session.is_kept());
    session.begin(&head(200), None);
    session.write(Bytes::from_static(b"one")).await.unwrap();
    session.end().await.unwrap();
    assert!(!session.is_kept());
    let wanted = "HTTP/1.1 200 OK\r\nx-a: 1\r\nconnection: close\r\n\r\none";
    assert_eq!(told(&mut client).await, (wanted.into(), 1));
}

#[tokio::test]
async fn a_stream_that_breaks_has_no_end() {
    let (mut client, mut session) = asked("GET / HTTP/1.1\r\n\r\n").await;
    session.begin(&head(200), None);
    session.break_off().await;
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert!(all.ends_with("\r\n\r\n") && !all.contains("0\r\n"), "{all}");
    assert!(!session.is_kept());
}

#[tokio::test]
async fn who_may_ask_again_is_the_clients_to_say_first() {
    for (head, is_kept) in [
        ("HTTP/1.1", true),
        ("HTTP/1.1\r\nconnection: Close", false),
        ("HTTP/1.1\r\nconnection: te, close", false),
        ("HTTP/1.1\r\nconnection: keep-alive, close", false),
        ("HTTP/1.1\r\nconnection: te\r\nconnection: close", false),
        ("HTTP/1.1\r\nconnection: closed", true),
        ("HTTP/1.0", false),
        ("HTTP/1.0\r\nconnection: Keep-Alive", true),
        ("HTTP/1.0\r\nconnection: keep-alive, close", false),
    ] {
        let (_client, session) = asked(&format!("GET / {head}\r\n\r\n")).await;
        assert_eq!(session.is_kept(), is_kept, "{head:?}");
    }
}

#[tokio::test]
async fn whose_head_cannot_be_read_is_answered_and_closed() {
    let (mut client, server) = duplex(1000);
    // No line ends, so that whoever speaks this waits.
    client.write_all(b"\x16\x03\x01\x02\0").await.unwrap();
    let mut session = Http1::new(server, Bounds::default());
    assert_eq!(session.read_head().await, Err(Unread::Malformed));
    session.begin(&head(400), Some(0));
    session.whole(Vec::new()).await.unwrap();
    assert!(told(&mut client).await.0.contains("connection: close"));
    assert!(!session.is_kept());
}

/// Polls a future once and gives it up.
async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn what_is_given_up_half_way_goes_on_where_it_was() {
    let (mut client, server) = duplex(7);
    let mut session = Http1::new(server, Bounds::default());
    let (mut sent, mut all) = (0, Vec::new());
    let wire = b"POST / HTTP/1.1\r\ncontent-length: 20\r\n\r\nabcdefghijklmnopqrst";
    let mut body = Body::default();
    // A head that is given up is read anew from what has come.
    while session.head().method != Method::POST {
        sent += client.write(&wire[sent..]).await.unwrap();
        let _ = once(session.read_head()).await;
    }
    while !session.is_body_done() {
        let _ = once(session.read(&mut body)).await;
        if sent < wire.len() {
            sent += client.write(&wire[sent..]).await.unwrap();
        }
    }
    assert_eq!(body.freeze(), "abcdefghijklmnopqrst");
    session.begin(&head(200), None);
    let mut buffer = [0; 100];
    for nth in 0..40 {
        let _ = once(session.write(Bytes::from(vec![b'x'; nth * 53]))).await;
        let _ = once(session.gone()).await;
        let read = client.read(&mut buffer).await.unwrap();
        all.extend_from_slice(&buffer[..read]);
    }
    let rest = async {
        session.end().await.unwrap();
        session.transport.shutdown().await.unwrap();
    };
    let (_, read) = tokio::join!(rest, client.read_to_end(&mut all));
    read.unwrap();
    let at = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let (mut chunks, mut size) = (crate::wire::http1::Chunks::default(), 0);
    let mut come = BytesMut::from(&all[at + 4..]);
    while let Chunk::Data(data) = chunks.next(&mut come).unwrap() {
        assert!(data.iter().all(|byte| *byte == b'x'));
        size += data.len();
    }
    assert!(chunks.is_over() && come.is_empty());
    assert_eq!(size, (0..40).map(|nth| nth * 53).sum::<usize>());
}

#[tokio::test]
async fn what_comes_early_waits_and_is_bounded() {
    let (mut client, mut session) = asked("GET /1 HTTP/1.1\r\n\r\n").await;
    client.write_all(b"GET /2 HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(once(session.gone()).await.is_pending());
    let blank = b"\r\n".repeat(3 * EARLY / 2);
    client.write_all(&blank).await.unwrap();
    client.write_all(b"GET /3 HTTP/1.1\r\n\r\n").await.unwrap();
    for _ in 0..5 {
        assert!(once(session.gone()).await.is_pending());
    }
    assert_eq!(session.come.len(), EARLY);
    for path in ["/2", "/3"] {
        assert_eq!(session.read_head().await, Ok(true));
        assert_eq!(session.head().uri, path);
    }
    drop(client);
    assert!(once(session.gone()).await.is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_gone_after_a_minute() {
    let (_client, server) = duplex(10);
    let mut session = Http1::new(server, Bounds::default());
    let began = Instant::now();
    session.begin(&head(200), None);
    assert_eq!(
        session.write(Bytes::from_static(b"x")).await,
        Err(Gone::Left)
    );
    assert_eq!(began.elapsed(), Bounds::default().write);
    session.gone().await;
    assert_eq!(began.elapsed(), 2 * Bounds::default().write);
    session.linger().await;
    assert!(began.elapsed() <= 2 * Bounds::default().write + LINGER);
}

#[tokio::test]
async fn between_two_requests_nothing_is_kept() {
    let wire = "POST / HTTP/1.1\r\nx: y\r\ncontent-length: 5\r\n\r\nhello";
    let (mut client, mut session) = asked(wire).await;
    let mut body = Body::default();
    while session.read(&mut body).await.unwrap() {}
    session.begin(&head(200), Some(5000));
    session.whole(vec![vec![b'x'; 5000].into()]).await.unwrap();
    session.forget();
    assert_eq!(session.come.capacity(), 0);
    assert_eq!(session.head.headers.capacity(), 0);
    assert_eq!(
        format!("{:?}", session.out),
        format!("{:?}", Out::default())
    );
    let mut all = vec![0; 5000];
    client.read_exact(&mut all).await.unwrap();
    // While a stream is open, neither is its request's head.
    let (_client, mut session) = asked(wire).await;
    session.begin(&head(200), None);
    assert_eq!(session.head.headers.capacity(), 0);
}
