//! HTTP/1 connections in virtual time: when they end, and what is said then.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::super::body::Body;
use super::super::client::{Guest, answer_text};
use super::*;
use crate::seam::{Client, Committed, Head};
use crate::wire::Lines;

const HEADER: Duration = Duration::from_secs(10);

/// Answers with the target and the body's length; waits first, as long as the
/// request says.
struct Echo(Arc<Drain>);

impl Door for Echo {
    async fn serve(&self, session: &mut Session<'_>) -> Kept {
        let path = session.head().uri.path().to_owned();
        let (mut kept, mut body) = (Kept::Close, Body::default());
        let headers = Lines::default();
        let status = http::StatusCode::OK;
        match path.as_str() {
            "/unread" => return answer_text(session, status, headers, path).await,
            // As one that never asked for the body, and forgot about it.
            "/forgotten" => {
                let guest = Guest::new(session, &mut kept).until(&self.0);
                let _ = guest.reply(Head { status, headers }, vec![]).await;
                return kept;
            }
            _ => while session.read(&mut body).await.unwrap() {},
        }
        let mut guest = Guest::new(session, &mut kept).until(&self.0);
        if let Some(seconds) = path.strip_prefix("/wait/") {
            let time = Duration::from_secs(seconds.parse().unwrap());
            tokio::select! {
                () = sleep(time) => {}
                _ = guest.gone() => return Kept::Close,
            }
        }
        let told = format!("{path} {}", body.len());
        let mut seated = guest.commit(Head { status, headers }).await.unwrap();
        seated.write(told.into()).await.unwrap();
        seated.end().await.unwrap();
        kept
    }

    fn header_timeout(&self) -> Duration {
        HEADER
    }

    fn seat(&self) -> Seat<'_> {
        Seat::Crammed
    }

    fn new_id(&self) -> HeaderValue {
        HeaderValue::from_static("id")
    }

    fn drain(&self) -> &Arc<Drain> {
        &self.0
    }
}

/// A client of a connection that is served, and the drain.
fn connection() -> (DuplexStream, Arc<Drain>) {
    let (client, server) = duplex(1 << 16);
    let drain = Drain::new();
    let door = Arc::new(Echo(Arc::clone(&drain)));
    crate::front::spawn(async move {
        let mut connection = Http1::new(Transport::Scripted(server), Bounds::default());
        let deadline = Instant::now() + HEADER;
        http1(door, &mut connection, deadline, false).await;
    });
    (client, drain)
}

async fn say(client: &mut DuplexStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until this has come; gives back all.
async fn hear(client: &mut DuplexStream, until: &str) -> String {
    let mut all = String::new();
    while !all.ends_with(until) {
        let byte = client.read_u8().await;
        let byte = byte.unwrap_or_else(|_| panic!("closed after {all:?}"));
        all.push(byte.into());
    }
    all
}

/// Reads to the end, and says how long that took.
async fn closed(client: &mut DuplexStream) -> (String, Duration) {
    let (began, mut rest) = (Instant::now(), String::new());
    client.read_to_string(&mut rest).await.unwrap();
    (rest, began.elapsed())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

const LAST: &str = "\r\n0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let (mut client, _) = connection();
    // Being busy is not being idle, and neither are many short pauses.
    for pause in [0, 70, 1, 74] {
        sleep(Duration::from_secs(pause)).await;
        say(&mut client, &get("/wait/200")).await;
        let answer = hear(&mut client, LAST).await;
        assert!(answer.contains("/wait/200 0"), "{answer}");
        assert!(answer.contains("connection: keep-alive"), "{answer}");
    }
    assert_eq!(closed(&mut client).await, (String::new(), IDLE));
}

#[tokio::test(start_paused = true)]
async fn each_head_has_its_own_time() {
    for before in [0, 3] {
        let (mut client, _) = connection();
        for _ in 0..before {
            say(&mut client, &get("/")).await;
            hear(&mut client, LAST).await;
            sleep(IDLE / 2).await;
        }
        say(&mut client, "GET /").await;
        let (answer, took) = closed(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(took, HEADER);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_who_is_idle_and_tells_who_is_not() {
    let (mut client, drain) = connection();
    say(&mut client, &get("/")).await;
    hear(&mut client, LAST).await;
    drain.begin();
    assert_eq!(closed(&mut client).await, (String::new(), Duration::ZERO));
    let (mut client, drain) = connection();
    say(&mut client, &get("/wait/20")).await;
    sleep(Duration::from_secs(5)).await;
    drain.begin();
    let (answer, took) = closed(&mut client).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with(LAST), "{answer}");
    assert_eq!(took, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_at_once_is_answered_one_by_one() {
    let (mut client, _) = connection();
    let post = "POST /p HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
    let last = "GET /c HTTP/1.1\r\nconnection: close\r\n\r\n";
    let all = [&get("/a"), post, &get("/wait/5"), "\r\n", &get("/b"), last].concat();
    say(&mut client, &all).await;
    let (answers, _) = closed(&mut client).await;
    let at = |what: &str| answers.find(what).unwrap_or_else(|| panic!("{answers}"));
    let order = ["/a 0", "/p 3", "/wait/5 0", "/b 0", "/c 0"].map(at);
    assert!(order.is_sorted(), "{answers}");
    assert_eq!(answers.matches("200 OK").count(), 5, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn an_unread_body_is_not_the_next_request() {
    for path in ["/unread", "/forgotten"] {
        let (mut client, _) = connection();
        let hidden = get("/hidden");
        let length = hidden.len();
        say(
            &mut client,
            &format!("POST {path} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        )
        .await;
        let (answer, _) = closed(&mut client).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_still_sending_is_heard_for_a_moment() {
    let (mut client, _) = connection();
    let body = "x".repeat(1 << 20);
    let head = "POST /unread HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n";
    // More than fits on the way: it is read, though nobody wants it.
    say(&mut client, &format!("{head}{body}")).await;
    let (answer, _) = closed(&mut client).await;
    assert!(answer.contains("connection: close"), "{answer}");
    sleep(Duration::from_secs(6)).await;
    let error = client.write_all(body.as_bytes()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_not_waited_for() {
    let (mut client, drain) = connection();
    say(&mut client, &get("/wait/1000")).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(drain.in_flight(), 1);
    drop(client);
    let began = Instant::now();
    drain.empty().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}
