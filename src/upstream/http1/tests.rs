//! Over scripted streams: every framing, however it comes and wherever it ends.

use std::collections::VecDeque;
use std::pin::pin;

use super::*;
use crate::upstream::answer::MAX_HEAD;

/// What a scripted stream does next when it is read.
#[derive(Clone, Debug)]
enum Say {
    Bytes(Vec<u8>),
    /// It is not ready once.
    Later,
    Error,
    End,
}

/// A connection whose other side follows a script; silent behind its end.
#[derive(Debug)]
struct Scripted {
    says: VecDeque<Say>,
    /// Takes so many bytes with each write, every other time.
    takes: usize,
    /// Takes no more once it has so many.
    most: usize,
    /// Then it fails, instead of waiting.
    breaks: bool,
    is_vectored: bool,
    got: Vec<u8>,
    writes: usize,
    busy: bool,
}

impl Scripted {
    fn new(says: impl IntoIterator<Item = Say>) -> Self {
        Self {
            says: says.into_iter().collect(),
            takes: usize::MAX,
            most: usize::MAX,
            breaks: false,
            is_vectored: true,
            got: Vec::new(),
            writes: 0,
            busy: false,
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.says.pop_front() {
            None => return Poll::Pending,
            Some(Say::Later) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Say::Error) => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            Some(Say::End) => self.says.push_front(Say::End),
            Some(Say::Bytes(bytes)) => {
                let (now, later) = bytes.split_at(bytes.len().min(into.remaining()));
                into.put_slice(now);
                if !later.is_empty() {
                    self.says.push_front(Say::Bytes(later.to_vec()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.busy = !self.busy;
        if self.got.len() >= self.most && self.breaks {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if self.got.len() >= self.most {
            return Poll::Pending;
        }
        if self.busy && self.takes < usize::MAX {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = bytes.len().min(self.takes).min(self.most - self.got.len());
        self.got.extend_from_slice(&bytes[..size]);
        self.writes += 1;
        Poll::Ready(Ok(size))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One that is not takes only the first.
        let count = if self.is_vectored { parts.len() } else { 1 };
        let mut all = Vec::new();
        for part in parts.iter().take(count) {
            if all.len() < self.takes {
                all.extend_from_slice(part);
            }
        }
        self.poll_write(context, &all)
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Bytes that come in pieces of this size, with waits between them.
fn pieces(wire: &[u8], size: usize) -> impl Iterator<Item = Say> {
    wire.chunks(size)
        .flat_map(|piece| [Say::Later, Say::Bytes(piece.to_vec())])
}

/// What came of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Came {
    status: Result<u16, Fault>,
    body: Vec<u8>,
    end: Option<Fault>,
    heard: bool,
    kept: bool,
}

/// Runs something to its end, and drops and makes it anew each time that it
/// has to wait.
fn impatiently<S, T>(of: &mut S, work: impl AsyncFn(&mut S) -> T) -> T {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        let work = work(of);
        if let Poll::Ready(done) = pin!(work).poll(&mut context) {
            return done;
        }
    }
    panic!("it waits for ever");
}

fn exchange(says: impl IntoIterator<Item = Say>) -> Came {
    let mut session = Session::new(Scripted::new(says));
    session.sent = true;
    let status = impatiently(&mut session, Session::head).map(|head| head.status.as_u16());
    let mut body = Vec::new();
    let mut end = None;
    while status.is_ok() {
        match impatiently(&mut session, Session::read) {
            Ok(Some(piece)) => {
                assert!(!piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Ok(None) => break,
            Err(fault) => {
                end = Some(fault);
                break;
            }
        }
    }
    Came {
        status,
        body,
        end,
        heard: session.has_heard(),
        kept: session.into_idle().is_some(),
    }
}

fn answered(status: u16, body: &str, kept: bool) -> Came {
    Came {
        status: Ok(status),
        body: body.into(),
        end: None,
        heard: true,
        kept,
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const ENDED: Fault = Fault::Lost(ErrorKind::UnexpectedEof);

/// Answers that are over when their last byte has come.
fn whole() -> Vec<(String, Came)> {
    let chunks = "5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\nx: y\r\n\r\n";
    let length = "content-length: 5\r\n\r\nhello";
    [
        (format!("HTTP/1.1 200 OK\r\n{length}"), (200, "hello", true)),
        (format!("HTTP/1.1 429\r\n{length}"), (429, "hello", true)),
        ("HTTP/1.1 200 OK\nx: y\ncontent-length: 5\n\nhello".into(), (200, "hello", true)),
        (format!("\r\n\nHTTP/1.1 200 OK\r\nx : y\r\n{length}"), (200, "hello", true)),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{length}"), (200, "hello", true)),
        (format!("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n{length}"), (200, "hello", false)),
        (format!("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n{length}"), (200, "hello", true)),
        (
            format!("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: close\r\n{length}"),
            (200, "hello", false),
        ),
        (format!("HTTP/1.0 200 OK\r\n{length}"), (200, "hello", false)),
        (format!("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n{length}"), (200, "hello", true)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(), (200, "", true)),
        ("HTTP/1.1 204 None\r\n\r\n".into(), (204, "", true)),
        ("HTTP/1.1 304 Old\r\ncontent-length: 5\r\n\r\n".into(), (304, "", true)),
        (format!("{CHUNKED}{chunks}"), (200, "hello, world", true)),
        (format!("{CHUNKED}0\r\n\r\n"), (200, "", true)),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: x\r\ntransfer-encoding: y , Chunked\r\n\r\n{chunks}"),
            (200, "hello, world", true),
        ),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n{chunks}"),
            (200, "hello, world", false),
        ),
        (
            format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"),
            (200, "hello, world", false),
        ),
        (
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n{length}"),
            (200, "hello", true),
        ),
    ]
    .into_iter()
    .map(|(wire, (status, body, kept))| (wire, answered(status, body, kept)))
    .collect()
}

#[test]
fn an_answer_is_the_same_however_it_comes() {
    for (wire, came) in whole() {
        for size in 1..=wire.len() {
            let says = pieces(wire.as_bytes(), size);
            assert_eq!(exchange(says), came, "{size} of {wire:?}");
        }
    }
}

#[test]
fn an_end_before_the_end_is_none() {
    for (wire, came) in whole() {
        for (end, size) in (0..wire.len()).flat_map(|end| [(end, 1), (end, wire.len())]) {
            let says = pieces(&wire.as_bytes()[..end], size);
            let cut = exchange(says.chain([Say::End]));
            let is_cut = cut.status == Err(ENDED) || cut.end == Some(ENDED);
            assert!(is_cut && !cut.kept, "{end} of {wire:?}: {cut:?}");
            assert!(came.body.starts_with(&cut.body));
            assert_eq!(cut.heard, end > 0);
        }
    }
}

#[test]
fn without_a_length_the_connections_end_is_the_answers() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, x\r\n\r\n",
    ] {
        let wire = format!("{head}hello");
        for (end, size) in (0..=wire.len()).flat_map(|end| [(end, 1), (end, wire.len())]) {
            let says = pieces(&wire.as_bytes()[..end], size);
            let came = exchange(says.chain([Say::End]));
            if end < head.len() {
                assert_eq!(came.status, Err(ENDED));
            } else {
                assert_eq!(came, answered(200, &wire[head.len()..end], false));
            }
        }
    }
    let broken = [Say::Bytes(b"HTTP/1.1 200 OK\r\n\r\nhel".into()), Say::Error];
    let reset = Fault::Lost(ErrorKind::ConnectionReset);
    assert_eq!(exchange(broken).end, Some(reset));
    let came = exchange([Say::Error]);
    assert_eq!((came.status, came.heard), (Err(reset), false));
}

#[test]
fn what_is_no_answer_is_refused() {
    let interim = "HTTP/1.1 103 X\r\n\r\n".repeat(17);
    let many = "x: 1\r\n".repeat(257);
    for head in [
        "220 mail ready\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 X\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        &interim,
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
    ] {
        for size in [1, 2, head.len()] {
            let came = exchange(pieces(head.as_bytes(), size));
            assert_eq!(came.status, Err(Fault::Malformed), "{head:?}");
            assert!(!came.kept);
        }
    }
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MAX_HEAD + 1));
    let empty = "\r\n".repeat(MAX_HEAD);
    for endless in [huge, empty] {
        let came = exchange(pieces(endless.as_bytes(), 50_000));
        assert_eq!(came.status, Err(Fault::Malformed));
    }
}

#[test]
fn what_is_good_before_a_fault_is_handed_on() {
    for bad in ["x\r\n", "2\r\nab\n\r", "-1\r\n"] {
        let wire = format!("{CHUNKED}5\r\nhello\r\n{bad}");
        for size in [1, CHUNKED.len(), wire.len()] {
            let came = exchange(pieces(wire.as_bytes(), size));
            let body = if bad.starts_with('2') {
                "helloab"
            } else {
                "hello"
            };
            assert_eq!(came.body, body.as_bytes());
            assert_eq!((came.end, came.kept), (Some(Fault::Malformed), false));
        }
    }
}

#[test]
fn what_comes_behind_an_answer_ends_the_connection() {
    for (wire, came) in whole().into_iter().filter(|(_, came)| came.kept) {
        let wire = format!("{wire}H");
        let with_more = exchange(pieces(wire.as_bytes(), wire.len()));
        assert_eq!(
            with_more,
            Came {
                kept: false,
                ..came
            },
            "{wire:?}"
        );
    }
}

#[test]
fn a_value_of_several_lines_is_one_line() {
    let wire = "HTTP/1.1 200 OK\r\nx: a\r\n b\n\tc\r\n  \r\ny: d\r\ncontent-length: 0\r\n\r\n";
    for size in 1..=wire.len() {
        let mut session = Session::new(Scripted::new(pieces(wire.as_bytes(), size)));
        let head = impatiently(&mut session, Session::head).unwrap();
        assert_eq!(head.headers["x"], "a   b \tc");
        assert_eq!(head.headers["y"], "d");
    }
}

#[test]
fn a_head_that_trickles_in_is_looked_through_once() {
    let (mut heads, mut come) = (Heads::default(), BytesMut::new());
    let head = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n\t z\n".repeat(5000));
    for byte in head.as_bytes() {
        come.extend_from_slice(&[*byte]);
        assert!(heads.next(&mut come).unwrap().is_none());
        assert!(come.len() - heads.looked() <= 2);
    }
}

#[test]
fn what_one_read_gave_is_one_piece() {
    let head = Say::Bytes(CHUNKED.into());
    let events = "7\r\ndata: 1\r\n7\r\ndata: 2\r\n7\r\ndat";
    let says = [
        head,
        Say::Bytes(events.into()),
        Say::Bytes("a: 3\r\n3\r\n".into()),
        Say::Bytes("xyz".into()),
    ];
    let mut session = Session::new(Scripted::new(says));
    impatiently(&mut session, Session::head).unwrap();
    for piece in ["data: 1data: 2dat", "a: 3", "xyz"] {
        let read = impatiently(&mut session, Session::read).unwrap().unwrap();
        assert_eq!(read, piece);
        // Nothing is held while it waits for the next.
        assert_eq!(session.come.capacity(), 0);
    }
}

#[test]
fn a_large_answer_comes_in_few_pieces() {
    let body = "x".repeat(32 << 10);
    let length = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let chunked = format!("{CHUNKED}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for wire in [length, chunked] {
        let mut session = Session::new(Scripted::new([Say::Bytes(wire.into())]));
        session.sent = true;
        impatiently(&mut session, Session::head).unwrap();
        let piece = impatiently(&mut session, Session::read).unwrap().unwrap();
        assert_eq!(piece.len(), body.len());
        assert_eq!(impatiently(&mut session, Session::read), Ok(None));
        assert!(session.into_idle().is_some());
    }
}

/// A body in parts of these sizes.
fn body(sizes: &[usize]) -> Body {
    let part = |(nth, size): (usize, &usize)| -> Bytes {
        (0..*size).map(|at| (at * 31 + nth) as u8).collect()
    };
    sizes.iter().enumerate().map(part).collect()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_request_arrives_whole_whatever_a_write_takes() {
    let many = [3; 40];
    let bodies: [&[usize]; 7] = [
        &[],
        &[2000],
        &[1000, 5, 31_000],
        &many,
        &[PIECE],
        &[PIECE - 7, 20, 3 * PIECE, 1],
        &[100; 1000],
    ];
    for (sizes, takes, is_vectored) in bodies.iter().flat_map(|sizes| {
        let takes = [1 << 20, 70_000, 5000, 97];
        takes.map(|takes| (sizes, takes, takes != 5000))
    }) {
        let mut stream = Scripted::new([]);
        (stream.takes, stream.is_vectored) = (takes, is_vectored);
        let mut session = Session::new(stream);
        let body = body(sizes);
        session.send(b"HEAD".into(), &body).await.unwrap();
        let wanted = [&b"HEAD"[..], &body.parts().concat()].concat();
        assert!(session.stream.got == wanted, "{takes}");
        assert!(session.sent);
        session.stream.says.push_back(Say::Bytes(OK.into()));
        assert_eq!(session.head().await.unwrap().status, 200);
        assert!(session.into_idle().is_some());
    }
}

#[tokio::test]
async fn what_fits_goes_out_in_one_write() {
    let many = [1500; 40];
    let one: [&[usize]; 6] = [&[], &[2000], &[1000, 5, 31_000], &many, &[PIECE], &[9; 15]];
    for (sizes, is_vectored) in one.iter().flat_map(|sizes| [(sizes, true), (sizes, false)]) {
        let mut session = Session::new(Scripted::new([]));
        session.stream.is_vectored = is_vectored;
        session.send(vec![b'h'; 700], &body(sizes)).await.unwrap();
        assert_eq!(session.stream.writes, 1, "{sizes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_a_request_that_is_still_being_sent() {
    for most in [0, 3, 500, PIECE, PIECE + 5, 3 * PIECE] {
        for (says, came) in [
            (OK.to_vec(), Ok(200)),
            (b"what?".to_vec(), Err(Fault::Malformed)),
        ] {
            let mut session = Session::new(Scripted::new([Say::Later, Say::Bytes(says)]));
            session.stream.most = most;
            let started = tokio::time::Instant::now();
            let sent = session.send(b"HEAD".into(), &body(&[4 * PIECE])).await;
            assert_eq!(sent, came.map(|_| ()));
            // It did not take the time of a write that fails.
            assert!(started.elapsed() < WRITE);
            if let Ok(status) = came {
                assert_eq!(session.head().await.unwrap().status, status);
            }
            assert!(session.into_idle().is_none(), "not all was written");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_or_blocks_is_followed_by_a_last_look() {
    for size in [100, 4 * PIECE] {
        for (breaks, says, came) in [
            (true, vec![Say::Bytes(OK.into())], Ok(())),
            (true, vec![Say::End], Err(ENDED)),
            (true, vec![], Err(Fault::Lost(ErrorKind::TimedOut))),
            (false, vec![], Err(Fault::Lost(ErrorKind::TimedOut))),
        ] {
            let mut session = Session::new(Scripted::new(says));
            (session.stream.most, session.stream.breaks) = (7, breaks);
            let sent = session.send(b"HEAD".into(), &body(&[size])).await;
            assert_eq!(sent, came);
            assert_eq!(session.has_heard(), came.is_ok());
            assert!(session.into_idle().is_none());
        }
    }
}

#[test]
fn an_answer_is_not_over_before_its_end_has_been_read() {
    for (wire, came) in whole()
        .into_iter()
        .filter(|(_, came)| !came.body.is_empty())
    {
        let mut session = Session::new(Scripted::new([Say::Bytes(wire.into())]));
        session.sent = true;
        impatiently(&mut session, Session::head).unwrap();
        assert!(session.into_idle().is_none(), "{came:?}");
    }
}
