//! The lean provider: one thread that answers from prepared bytes, so that it
//! takes as little of the machine as a provider can.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use memchr::memmem;
use nix::sys::socket::{Backlog, listen};
use tokio::time::Instant;

use super::answer::{count, headers, number, split};
use super::machine;
use super::script::{HEADER, Reply, Scripts};
use super::turn::{TIMER, Turn};

/// The listener's number; a connection's is its place.
const LISTENER: u64 = TIMER - 1;
/// Longer heads than any of the proxies sends.
const MAX_HEAD: usize = 16 << 10;

struct Client {
    stream: TcpStream,
    /// Of the head, where it comes in more than one piece.
    head: Vec<u8>,
    /// How much of the body is still to come.
    left: u64,
    /// What is to be answered, once the body is there.
    reply: Option<Reply>,
    /// Which piece is written now, how much of it has been, …
    piece: usize,
    written: usize,
    /// … and from which on they are not due yet.
    due: usize,
    began: Instant,
}

struct Provider {
    turn: Turn,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    scripts: Scripts,
    /// Connections with a piece that becomes due.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
}

/// Serves on this port until it is killed.
pub(crate) fn serve(port: u16) -> Result<(), String> {
    machine::raise_files()?;
    let failed = |error: std::io::Error| format!("provider: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    // The library's own is too short for many that come at once.
    listen(&listener, Backlog::MAXALLOWABLE).map_err(|error| format!("provider: {error}"))?;
    let mut provider = Provider {
        turn: Turn::new()?,
        clients: Vec::new(),
        free: Vec::new(),
        scripts: Scripts::default(),
        timers: BinaryHeap::new(),
        buffer: vec![0; 256 << 10],
    };
    provider.turn.listener(&listener, LISTENER)?;
    let mut happened = Vec::new();
    loop {
        provider.turn.wait(Duration::from_secs(1), &mut happened)?;
        for number in &happened {
            match *number {
                LISTENER => provider.accept(&listener)?,
                TIMER => {}
                number => {
                    let number = usize::try_from(number).unwrap_or(usize::MAX);
                    provider.happened(number, false)?;
                }
            }
        }
        provider.timers()?;
    }
}

impl Provider {
    fn accept(&mut self, listener: &TcpListener) -> Result<(), String> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("accepting: {error}")),
            };
            let set = stream.set_nonblocking(true);
            set.and_then(|()| stream.set_nodelay(true))
                .map_err(|error| format!("accepting: {error}"))?;
            let number = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.turn.stream(&stream, number as u64)?;
            if let Some(place) = self.clients.get_mut(number) {
                *place = Some(Client {
                    stream,
                    head: Vec::new(),
                    left: 0,
                    reply: None,
                    piece: 0,
                    written: 0,
                    due: 0,
                    began: Instant::now(),
                });
            }
        }
    }

    /// Reads and writes what can be; by the timer, more pieces are due.
    fn happened(&mut self, number: usize, by_timer: bool) -> Result<(), String> {
        let Some(Some(client)) = self.clients.get_mut(number) else {
            return Ok(());
        };
        let now = Instant::now();
        let goes_on = match by_timer {
            true => Ok(true),
            false => client.read(&mut self.scripts, &mut self.buffer, now),
        };
        let goes_on = match goes_on {
            Ok(true) => client.write(now),
            Ok(false) => Ok(None),
            Err(why) => Err(why),
        };
        match goes_on {
            Ok(Some(next)) => {
                if let Next::At(due) = next {
                    self.timers.push(Reverse((due, number)));
                }
                Ok(())
            }
            Ok(None) => {
                self.clients[number] = None;
                self.free.push(number);
                Ok(())
            }
            Err(why) => Err(format!("provider: {why}")),
        }
    }

    fn timers(&mut self) -> Result<(), String> {
        loop {
            match self.timers.peek() {
                None => return Ok(()),
                Some(Reverse((due, _))) if *due > Instant::now() => {
                    return self.turn.wake_at(*due);
                }
                Some(_) => {}
            }
            if let Some(Reverse((_, number))) = self.timers.pop() {
                self.happened(number, true)?;
            }
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// For the socket.
    Socket,
    /// For the next piece, to be written then.
    At(Instant),
}

impl Client {
    /// Takes in what has come; false: the connection is over.
    fn read(
        &mut self,
        scripts: &mut Scripts,
        buffer: &mut [u8],
        now: Instant,
    ) -> Result<bool, String> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Whoever left an answer resets its connection.
                Err(_) => return Ok(false),
            };
            self.take(buffer.get(..count).unwrap_or_default(), scripts, now)?;
            if count < buffer.len() {
                return Ok(true);
            }
        }
    }

    fn take(&mut self, bytes: &[u8], scripts: &mut Scripts, now: Instant) -> Result<(), String> {
        if self.left > 0 {
            return self.body(bytes);
        }
        if self.reply.is_some() {
            return Err("a request before the last one is answered".to_owned());
        }
        let mut kept = std::mem::take(&mut self.head);
        let all = match kept.is_empty() {
            true => bytes,
            false => {
                kept.extend_from_slice(bytes);
                &kept
            }
        };
        let Some(end) = memmem::find(all, b"\r\n\r\n") else {
            self.head = all.to_owned();
            return match self.head.len() {
                length if length > MAX_HEAD => Err("a head without end".to_owned()),
                _ => Ok(()),
            };
        };
        let (head, body) = all.split_at(end + 4);
        let mut script: &[u8] = b"";
        let mut length = None;
        for (name, value) in headers(head) {
            if name.eq_ignore_ascii_case(HEADER.as_bytes()) {
                script = value;
            } else if name.eq_ignore_ascii_case(b"content-length") {
                length = number(value);
            }
        }
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        self.left = length.ok_or("a request without a length")?;
        self.reply = Some(scripts.reply(target, script)?);
        (self.piece, self.written, self.due) = (0, 0, 0);
        self.began = now;
        self.body(body)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (body, rest) = split(bytes, self.left);
        self.left -= count(body);
        match rest.is_empty() {
            true => Ok(()),
            false => Err("bytes behind a request".to_owned()),
        }
    }

    /// Writes what is due; none: the connection is over.
    fn write(&mut self, now: Instant) -> Result<Option<Next>, String> {
        let Some(reply) = self.reply.as_ref().filter(|_| self.left == 0) else {
            return Ok(Some(Next::Socket));
        };
        while let Some(piece) = reply.pieces.get(self.piece) {
            if self.written == 0 && !reply.every.is_zero() {
                let place = u32::try_from(self.piece).unwrap_or(u32::MAX);
                let due = self.began + reply.every * place;
                if due > now {
                    // Told only once of each piece, whatever else wakes it.
                    let is_new = self.due <= self.piece;
                    self.due = self.piece + 1;
                    return Ok(Some(if is_new { Next::At(due) } else { Next::Socket }));
                }
            }
            match self
                .stream
                .write(piece.get(self.written..).unwrap_or_default())
            {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Some(Next::Socket));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
            if self.written == piece.len() {
                self.piece += 1;
                self.written = 0;
            }
        }
        self.reply = None;
        Ok(Some(Next::Socket))
    }
}
