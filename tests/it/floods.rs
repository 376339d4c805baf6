//! HTTP/2 as nobody means it (RFC 9113 section 10.5): frames by hand, in
//! numbers. The connection ends or does no harm, memory stays bounded, and the
//! other clients are served.

use standin::mock::{Mock, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::crowd::memory;
use crate::house::{House, soon};
use crate::http2::{H2, taken};
use crate::talk::chat;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a flood may cost, in KiB.
const BOUND: usize = 48 << 10;

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header that enters no table (RFC 7541 section 6.2.2).
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).unwrap());
        assert!(text.len() < 127);
        field.extend_from_slice(text.as_bytes());
    }
    field
}

/// The headers of a chat request.
fn post() -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":authority", "h"),
        header(":path", "/v1/chat/completions"),
        header("content-type", "application/json"),
    ]
    .concat()
}

/// A connection whose frames are the test's.
struct Frames(TcpStream);

impl Frames {
    /// `settings` are pairs of an identifier and a value.
    async fn to(house: &House, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(house.at).await.unwrap();
        let mut frames = Self(stream);
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let settings = frame(SETTINGS, 0, 0, &payload);
        assert!(frames.send(&[PREFACE, &settings].concat()).await);
        frames
    }

    /// False where the other side has closed.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = soon("room to write", self.0.write_all(bytes)).await;
        sent.is_ok()
    }

    /// The next frame's type, flags, stream and payload; nothing at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        soon("a frame", self.0.read_exact(&mut head)).await.ok()?;
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; size as usize];
        soon("a payload", self.0.read_exact(&mut payload))
            .await
            .ok()?;
        Some((head[3], head[4], stream, payload))
    }

    /// Waits for the connection's end; gives back the reason of the goodbye,
    /// where one was heard.
    async fn ended(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some((kind, _, _, payload)) = self.next().await {
            if kind == GOAWAY {
                let bytes = payload[4..8].try_into().unwrap();
                reason = Some(u32::from_be_bytes(bytes));
            }
        }
        reason
    }

    /// Sends this again and again until the other side closes, and reads what
    /// it says meanwhile; whether it has closed.
    async fn flood(self, unit: Vec<u8>, times: usize) -> bool {
        let (mut from, mut to) = self.0.into_split();
        let write = async {
            for _ in 0..times {
                if to.write_all(&unit).await.is_err() {
                    return true;
                }
            }
            false
        };
        let read = async {
            let mut sink = vec![0; 64 << 10];
            while matches!(from.read(&mut sink).await, Ok(1..)) {}
        };
        soon("the flood's end", async {
            tokio::select! {
                closed = write => closed,
                () = read => true,
            }
        })
        .await
    }
}

async fn house(mock: &Mock) -> House {
    let limits = "limits: { header_timeout: 300ms, body_timeout: 300ms, write_timeout: 300ms }\n";
    let house = House::before(&[("p", mock)], limits).await;
    serves(&house).await;
    house
}

async fn serves(house: &House) {
    let answer = house.talk().await.chat(&["p/m"], false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn ten_thousand_streams_that_are_reset_at_once() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let before = memory(house.pid());
    let mut frames = Frames::to(&house, &[]).await;
    let mut all = Vec::new();
    for n in 0..10_000_u32 {
        let stream = 2 * n + 1;
        all.extend(frame(HEADERS, END_HEADERS, stream, &post()));
        all.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // It is closed before all has gone out, or after that.
    let _ = frames.send(&all).await;
    frames.ended().await;
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < BOUND, "{grown} KiB");
    serves(&house).await;
    assert_eq!(mock.seen().len(), 2);
}

/// CVE-2024-27316 and its like: a head that never ends.
#[tokio::test]
async fn a_head_of_endless_continuations() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let before = memory(house.pid());
    for piece in [Vec::new(), header("x", "y"), header("x", "y").repeat(2000)] {
        let mut frames = Frames::to(&house, &[]).await;
        assert!(frames.send(&frame(HEADERS, 0, 1, &post())).await);
        let unit = frame(CONTINUATION, 0, 1, &piece);
        assert!(frames.flood(unit, 100_000).await, "{} bytes", piece.len());
    }
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < BOUND, "{grown} KiB");
    serves(&house).await;
}

#[tokio::test]
async fn pings_and_settings_without_end() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let before = memory(house.pid());
    let units = [
        frame(PING, 0, 0, &[1; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
    ];
    for unit in units {
        // Each is answered before the next is read: who reads the answers may
        // go on, and costs no more than its bytes.
        let frames = Frames::to(&house, &[]).await;
        frames.flood(unit.repeat(100), 500).await;
        // Who does not read them is read no further.
        let mut deaf = Frames::to(&house, &[]).await;
        let mut sent = 0;
        let stalled = async {
            loop {
                let wrote = deaf.0.write(&unit.repeat(1000)).await;
                sent += match wrote {
                    Ok(wrote) => wrote,
                    Err(_) => return,
                };
                if sent > 256 << 20 {
                    return;
                }
            }
        };
        tokio::select! {
            () = stalled => assert!(sent < 256 << 20, "it takes all and more"),
            () = serves(&house) => {}
        }
        serves(&house).await;
    }
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < BOUND, "{grown} KiB");
    serves(&house).await;
}

/// Its window never opens: the answer has nowhere to go.
#[tokio::test]
async fn a_window_that_never_opens_does_not_hold_a_stream_for_ever() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    // SETTINGS_INITIAL_WINDOW_SIZE
    let mut frames = Frames::to(&house, &[(4, 0)]).await;
    let body = chat(&["p/m"], true);
    let request = [
        frame(HEADERS, END_HEADERS, 1, &post()),
        frame(DATA, END_STREAM, 1, body.as_bytes()),
    ];
    assert!(frames.send(&request.concat()).await);
    loop {
        let (kind, _, stream, _) = frames.next().await.unwrap();
        assert_ne!(kind, DATA);
        if kind == RST_STREAM && stream == 1 {
            break;
        }
    }
    house.logged("ended=client_gone").await;
    serves(&house).await;
}

#[tokio::test]
async fn a_head_of_too_many_headers_is_431_and_its_connection_serves_on() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let client = H2::to(house.at).await;
    let path = "/v1/chat/completions";
    let (answer, _body) = client.begin_with(path, &[("x", "1"); 300]).await;
    let refused = soon("an answer", taken(answer)).await.unwrap();
    assert_eq!(refused.status, 431);
    assert_eq!(refused.json()["error"]["code"], "headers_too_large");
    // What is too long is refused by the protocol's own reader, in its way.
    let long = "y".repeat(5000);
    let (answer, _body) = client.begin_with(path, &[("x", &*long); 14]).await;
    let ended = soon("an answer", taken(answer)).await;
    assert!(!ended.is_ok_and(|answer| answer.status != 431));
    assert_eq!(client.chat(&["p/m"], false).await.status, 200);
    assert_eq!(mock.seen().len(), 2);
}

#[tokio::test]
async fn a_preface_that_stops_half_way() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    for length in 1..PREFACE.len() {
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        stream.write_all(&PREFACE[..length]).await.unwrap();
        let mut all = Vec::new();
        // 408, and closed.
        let _ = soon("the end", stream.read_to_end(&mut all)).await;
        assert!(all.starts_with(b"HTTP/1.1 4"), "{length}");
    }
    serves(&house).await;
}

#[tokio::test]
async fn frames_that_make_no_sense_end_their_connection_only() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let huge = frame(DATA, 0, 1, &[0; 20_000]);
    for (what, bytes) in [
        ("data on stream 0", frame(DATA, 0, 0, b"x")),
        ("a continuation of nothing", frame(CONTINUATION, 0, 1, b"")),
        ("an even stream", frame(HEADERS, END_HEADERS, 2, &post())),
        (
            "a broken table",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 40]),
        ),
        ("a frame above the limit", huge),
        ("a short ping", frame(PING, 0, 0, &[1])),
        (
            "a window of more than there can be",
            frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255]),
        ),
    ] {
        let mut frames = Frames::to(&house, &[]).await;
        assert!(frames.send(&bytes).await);
        assert!(
            frames.ended().await.is_some_and(|reason| reason != 0),
            "{what}"
        );
    }
    serves(&house).await;
    assert_eq!(mock.seen().len(), 2);
}
