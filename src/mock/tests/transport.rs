//! What replies do on the wire.

use super::*;

/// What a stream's first 30 bytes are in every one of these tests.
fn numbers() -> Reply {
    Reply::stream_raw(["0123456789", "abcdefghij", "ABCDEFGHIJ"]).without_header("x-request-id")
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n";

async fn wire(reply: Reply) -> (String, Result<(), io::ErrorKind>) {
    let mock = Mock::start(reply).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.chat(true).await;
    peer.rest().await
}

#[tokio::test]
async fn an_answer_breaks_off_where_it_is_told() {
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    for (place, body) in [
        (At::Head, ""),
        (At::Event(1), "a\r\n0123456789\r\n"),
        (At::Byte(10), "a\r\n0123456789\r\n"),
        (At::Byte(12), "a\r\n0123456789\r\na\r\nab"),
        (
            At::End,
            "a\r\n0123456789\r\na\r\nabcdefghij\r\na\r\nABCDEFGHIJ\r\n",
        ),
    ] {
        let cut = wire(numbers().cut(place)).await;
        assert_eq!(cut, (format!("{chunked}{body}"), Ok(())), "{place:?}");
        let reset = wire(numbers().reset(place)).await;
        let broken = Err(io::ErrorKind::ConnectionReset);
        assert_eq!(reset, (format!("{chunked}{body}"), broken), "{place:?}");
    }
    assert_eq!(
        wire(numbers().cut(At::Start)).await,
        (String::new(), Ok(()))
    );
}

#[tokio::test]
async fn an_answer_can_break_off_after_every_byte_of_it() {
    let mock = Mock::start(numbers()).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.chat(true).await;
    let whole = peer.until("\r\n0\r\n\r\n").await;
    for place in 0..=whole.len() {
        let cut = wire(numbers().cut(At::Wire(place))).await;
        assert_eq!(cut, (whole[..place].to_owned(), Ok(())), "{place}");
        let slow = numbers().trickle(7, Duration::ZERO);
        let reset = wire(slow.reset(At::Wire(place))).await;
        let broken = Err(io::ErrorKind::ConnectionReset);
        assert_eq!(reset, (whole[..place].to_owned(), broken), "{place}");
    }
    // Beyond the end nothing happens to the connection.
    mock.play(numbers().cut(At::Wire(whole.len() + 1)));
    for _ in 0..2 {
        peer.chat(true).await;
        assert_eq!(peer.until("\r\n0\r\n\r\n").await, whole);
    }
}

#[tokio::test]
async fn raw_steps_are_all_that_is_sent() {
    let steps = [Step::send("HTTP/1.1 2"), Step::send("00 OK\r\n"), Step::Cut];
    assert_eq!(
        wire(Reply::steps(steps)).await,
        ("HTTP/1.1 200 OK\r\n".into(), Ok(()))
    );
    let (text, end) = wire(Reply::not_http()).await;
    assert_eq!((text.as_str(), end), ("SSH-2.0-OpenSSH_9.6\r\n", Ok(())));
}

#[tokio::test]
async fn lengths_can_lie() {
    let plain = || Reply::json(200, "{}").without_header("x-request-id");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let (long, end) = wire(plain().framing(Framing::Claims(9))).await;
    assert_eq!(long, format!("{head}content-length: 9\r\n\r\n{{}}"));
    assert_eq!(end, Ok(()));
    for (framing, lines) in [
        (Framing::Claims(1), "content-length: 1\r\n\r\n{}"),
        (
            Framing::TwoLengths,
            "content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        ),
        (
            Framing::LengthAndChunked,
            "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
    ] {
        let mock = Mock::start(plain().framing(framing)).await.unwrap();
        let mut peer = Peer::to(&mock).await;
        for _ in 0..2 {
            peer.chat(false).await;
            let expected = format!("{head}{lines}");
            assert_eq!(peer.exactly(expected.len()).await, expected);
        }
    }
}

#[tokio::test]
async fn an_answer_can_end_with_its_connection() {
    let body = "0123456789abcdefghijABCDEFGHIJ";
    assert_eq!(
        wire(numbers().framing(Framing::UntilClose)).await,
        (format!("{HEAD}connection: close\r\n\r\n{body}"), Ok(()))
    );
    let old = HEAD.replace("1.1", "1.0");
    assert_eq!(
        wire(numbers().framing(Framing::Http10)).await,
        (format!("{old}\r\n{body}"), Ok(()))
    );
}

#[tokio::test]
async fn chunks_can_cut_events_anywhere() {
    let mock = Mock::start(numbers().framing(Framing::ChunkedBy(7)))
        .await
        .unwrap();
    let answer = Peer::to(&mock).await.ask("/", "{}").await;
    assert_eq!(answer.chunks, [7, 7, 7, 7, 2]);
    assert_eq!(answer.body, "0123456789abcdefghijABCDEFGHIJ");
}

#[tokio::test]
async fn a_chunk_size_can_be_nonsense() {
    let reply = numbers()
        .at(At::Event(1), Step::send("xyz\r\n"))
        .cut(At::Event(1));
    let (text, end) = wire(reply).await;
    assert!(text.ends_with("\r\n\r\na\r\n0123456789\r\nxyz\r\n"));
    assert_eq!(end, Ok(()));
}

#[tokio::test]
async fn interim_heads_come_first() {
    let reply = Reply::json(200, "{}")
        .interim(100, &[])
        .interim(103, &[("link", "</x>")]);
    let mock = Mock::start(reply).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.chat(false).await;
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    assert_eq!(peer.exactly(interim.len()).await, interim);
    assert_eq!(peer.answer().await.status(), 200);
}

#[tokio::test]
async fn pauses_come_where_they_are_told_and_trickles_byte_by_byte() {
    let ms = Duration::from_millis;
    let reply = numbers()
        .interim(103, &[])
        .after(ms(3))
        .wait(At::Head, ms(4))
        .between(ms(5));
    let mock = Mock::start(numbers()).await.unwrap();
    Peer::to(&mock).await.ask("/", "{}").await;
    let seen = mock.last().unwrap();
    let steps = message::Message::new(&reply, &seen).steps;
    let shape: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Send(bytes) => bytes.len().to_string(),
            Step::Cut | Step::Hold(_) | Step::Reset | Step::Stall | Step::Wait(_) => {
                format!("{step:?}")
            }
        })
        .collect();
    let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n").len();
    let expected = [
        "28",
        "Wait(3ms)",
        &head.to_string(),
        "Wait(4ms)",
        "15",
        "Wait(5ms)",
        "15",
        "Wait(5ms)",
        "20",
    ];
    assert_eq!(shape, expected);

    let slow = message::Message::new(&numbers().trickle(1, ms(1)), &seen).steps;
    let whole = message::Message::new(&numbers(), &seen).steps;
    let [Step::Send(whole)] = &whole[..] else {
        panic!("an answer without pauses is one write: {whole:?}")
    };
    let sent: Vec<u8> = slow
        .iter()
        .filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes[..].try_into().map(|[byte]: [u8; 1]| byte).unwrap()),
            Step::Cut | Step::Hold(_) | Step::Reset | Step::Stall | Step::Wait(_) => None,
        })
        .collect();
    assert_eq!(sent, &whole[..]);
    let pauses = slow
        .iter()
        .filter(|step| **step == Step::Wait(ms(1)))
        .count();
    assert_eq!(pauses, whole.len() - 1);

    mock.play(numbers().trickle(20, ms(1)));
    let answer = Peer::to(&mock).await.ask("/", "{}").await;
    assert_eq!(answer.body, "0123456789abcdefghijABCDEFGHIJ");
}

#[tokio::test]
async fn a_gate_holds_answers_until_it_is_opened() {
    let gate = Gate::new();
    let hold = Step::Hold(gate.clone());
    let mock = Mock::start(numbers().at(At::Event(1), hold)).await.unwrap();
    let mut held = Peer::to(&mock).await;
    held.chat(true).await;
    let mut leaves = Peer::to(&mock).await;
    leaves.chat(true).await;
    soon(mock.wait_for(2)).await;
    drop(leaves);
    soon(mock.wait_cancelled(1)).await;
    assert_eq!(mock.counts().answered, 0);
    gate.open();
    let answer = soon(held.answer()).await;
    assert_eq!(answer.body, "0123456789abcdefghijABCDEFGHIJ");
    let mut late = Peer::to(&mock).await;
    late.chat(true).await;
    assert_eq!(soon(late.answer()).await.body.len(), 30);
}

#[tokio::test]
async fn a_stall_lasts_until_the_peer_leaves_and_counts_as_cancelled() {
    let mock = Mock::start(numbers().stall(At::Event(1))).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.chat(true).await;
    peer.until("0123456789\r\n").await;
    assert_eq!((mock.cancelled(), mock.open()), (0, 1));
    drop(peer);
    soon(mock.wait_cancelled(1)).await;
    soon(mock.wait_closed(0)).await;
    assert_eq!(mock.counts().answered, 0);
}

#[tokio::test]
async fn a_peer_that_leaves_in_a_pause_is_noticed_at_once() {
    let hour = Duration::from_hours(1);
    for reply in [numbers().after(hour), numbers().between(hour)] {
        let mock = Mock::start(reply).await.unwrap();
        let mut peer = Peer::to(&mock).await;
        peer.chat(true).await;
        soon(mock.wait_for(1)).await;
        drop(peer);
        soon(mock.wait_cancelled(1)).await;
    }
}

#[tokio::test]
async fn a_peer_that_leaves_in_the_midst_of_a_large_answer_is_noticed() {
    let mock = Mock::start(Reply::json(200, vec![b' '; 64 << 20]))
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.chat(false).await;
    peer.until("\r\n\r\n").await;
    drop(peer);
    soon(mock.wait_cancelled(1)).await;
}

#[tokio::test]
async fn an_early_answer_leaves_a_connection_that_can_be_used() {
    let mock = Mock::start(Reply::rate_limited(None).early())
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    for _ in 0..2 {
        peer.send("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n")
            .await;
        assert_eq!(peer.answer().await.status(), 429);
        peer.send("12345").await;
    }
    assert_eq!((mock.connections(), mock.counts().seen), (1, 2));
}

#[tokio::test]
async fn a_pause_before_an_early_answer_takes_nothing_from_the_body() {
    let reply = Reply::rate_limited(None)
        .early()
        .after(Duration::from_millis(5));
    let mock = Mock::start(reply).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    for _ in 0..2 {
        peer.post("/", "12345").await;
        assert_eq!(peer.answer().await.status(), 429);
    }
}

#[tokio::test]
async fn a_body_can_stay_unread() {
    let script = Script::from(Reply::rate_limited(None).unread()).receive_buffer(8 << 10);
    let mock = Mock::start(script).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let length = 64 << 20;
    peer.send(format!(
        "POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n"
    ))
    .await;
    assert_eq!(peer.answer().await.status(), 429);
    let mut sent = 0;
    while let Ok(written) = peer.stream.try_write(&[b' '; 65536]) {
        sent += written;
    }
    assert!(sent < length, "it would have been read");
    assert_eq!(mock.last().unwrap().arrived, Arrived::Unread);
    assert_eq!(peer.rest().await.0, "");
    drop(peer);
    soon(mock.wait_closed(0)).await;
}

#[tokio::test]
async fn a_peer_that_leaves_its_body_unread_in_a_stall_is_noticed() {
    let mock = Mock::start(Reply::steps([Step::Stall]).unread())
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.post("/", "some bytes").await;
    soon(mock.wait_for(1)).await;
    peer.send("and more").await;
    drop(peer);
    soon(mock.wait_cancelled(1)).await;
}

#[tokio::test]
async fn a_connection_can_be_turned_away_at_the_door() {
    let script = Script::from(Reply::answer("hello")).greet(|connection| match connection {
        0 => Greeting::Close,
        1 => Greeting::Reset,
        2 => Greeting::Ignore,
        _ => Greeting::Serve,
    });
    let mock = Mock::start(script).await.unwrap();
    assert_eq!(Peer::to(&mock).await.rest().await, (String::new(), Ok(())));
    let reset = Peer::to(&mock).await.rest().await;
    assert_eq!(reset, (String::new(), Err(io::ErrorKind::ConnectionReset)));
    let mut ignored = Peer::to(&mock).await;
    ignored.chat(false).await;
    let mut served = Peer::to(&mock).await;
    assert_eq!(served.ask("/", "{}").await.status(), 200);
    assert_eq!((mock.counts().seen, mock.open()), (1, 2));
    drop(ignored);
    soon(mock.wait_closed(1)).await;
}

#[tokio::test]
async fn nothing_listens_at_a_refused_address() {
    let refused = Mock::refused().unwrap();
    let error = TcpStream::connect(refused.addr()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(refused.base_url().ends_with("/v1"));
}

#[tokio::test]
async fn connections_go_stale_in_three_ways() {
    let hello = || Script::from(Reply::answer("hello"));
    for script in [
        Reply::answer("hello").close_silently().into(),
        hello().close_after(1),
    ] {
        let mock = Mock::start(script).await.unwrap();
        let mut peer = Peer::to(&mock).await;
        let answer = peer.ask("/", "{}").await;
        assert!(!answer.head.contains("connection:"));
        assert_eq!(peer.rest().await, (String::new(), Ok(())));
    }
    let mock = Mock::start(hello().stale_after(1)).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.ask("/", "{}").await;
    assert_eq!(mock.open(), 1);
    peer.chat(false).await;
    assert_eq!(peer.rest().await.0, "");
    assert_eq!((mock.counts().seen, mock.counts().stale), (1, 1));
}

#[tokio::test]
async fn an_announced_close_is_done() {
    let mock = Mock::start(Reply::answer("hello").close()).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let answer = peer.ask("/", "{}").await;
    assert!(answer.head.contains("\r\nconnection: close\r\n"));
    assert_eq!(peer.rest().await, (String::new(), Ok(())));
}

#[tokio::test]
async fn no_failure_is_a_good_answer() {
    for (name, reply) in failures() {
        for stream in [false, true] {
            let mock = Mock::start(reply.clone()).await.unwrap();
            let mut peer = Peer::to(&mock).await;
            peer.chat(stream).await;
            soon(mock.wait_for(1)).await;
            // Half a close ends keep-alive and stalls, and lets what was
            // written arrive.
            if !name.starts_with("silent") {
                soon(mock.wait_until(|counts| counts.answered == 1)).await;
            }
            peer.stream.shutdown().await.unwrap();
            let (text, end) = peer.rest().await;
            let unfinished = text.contains("chunked") && !text.ends_with("\r\n0\r\n\r\n");
            let good = text.starts_with("HTTP/1.1 200 OK\r\n")
                && text.contains("finish_reason\":\"stop\"")
                && !unfinished
                && end.is_ok();
            let lies = name.starts_with("length") || name == "two lengths";
            let may_be_good = name.starts_with("stream") && !stream;
            assert_eq!(good && !lies, may_be_good, "{name}, {stream}: {text}");
        }
    }
}
