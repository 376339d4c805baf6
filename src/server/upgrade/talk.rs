//! The connection between the two processes: messages, and descriptors.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recv, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::STEP;
use super::message::{LENGTH, Word, length, read, write};

/// Descriptors of one message: Linux takes 253.
const BATCH: usize = 250;

/// Why there is nothing more to hear.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It says that it gives up.
    Failed(String),
    /// It is not there any more.
    Gone,
    /// It says nothing for so long.
    Late(Duration),
    /// What it says makes no sense, in words that follow "it".
    Strange(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "the other process gives up: {why}"),
            Self::Gone => f.write_str("the other process is gone"),
            Self::Late(longest) => write!(f, "the other process says nothing for {longest:?}"),
            Self::Strange(why) => write!(f, "the other process {why}"),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        if [BrokenPipe, ConnectionReset, UnexpectedEof].contains(&error.kind()) {
            return Self::Gone;
        }
        Self::Strange(format!("cannot be talked to: {error}"))
    }
}

/// What nobody should say now.
pub(super) fn out_of_turn(word: &Word) -> Lost {
    log::debug!("upgrade: {word:?} is out of turn");
    Lost::Strange("says something out of turn".to_owned())
}

/// One end of it. Dropped before it is over, it tells the other one.
pub(super) struct Talk {
    stream: UnixStream,
    is_over: bool,
    is_free: bool,
}

impl Talk {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            is_over: false,
            is_free: false,
        }
    }

    /// The other one may go on without this one: dropped from now on, it says
    /// nothing.
    pub(super) fn free(&mut self) {
        self.is_free = true;
    }

    /// Nothing more needs to be said.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }

    /// Gives up.
    pub(super) fn fail(mut self, why: &str) {
        self.give_up(why);
    }

    fn give_up(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_over, true) {
            // It has room for it, unless nobody reads there anyway.
            let _ = self.stream.try_write(&write(&Word::Failed(why.to_owned())));
        }
    }

    pub(super) async fn say(&mut self, word: &Word) -> Result<(), Lost> {
        within(STEP, async {
            self.stream.write_all(&write(word)).await?;
            Ok(())
        })
        .await
    }

    /// What the other says, within that time.
    pub(super) async fn hear(&mut self, longest: Duration) -> Result<Word, Lost> {
        within(longest, async {
            let mut head = [0; LENGTH];
            self.stream.read_exact(&mut head).await?;
            let mut text = vec![0; length(head).map_err(Lost::Strange)?];
            self.stream.read_exact(&mut text).await?;
            let word = read(&text).map_err(Lost::Strange)?;
            if let Word::Failed(why) = word {
                self.is_over = true;
                return Err(Lost::Failed(why));
            }
            Ok(word)
        })
        .await
    }

    /// Whether the other one is there, and all that it has said is heard.
    pub(super) fn is_quiet(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }

    /// Sends descriptors, each batch of them with one byte.
    pub(super) async fn send(&mut self, all: &[OwnedFd]) -> Result<(), Lost> {
        within(STEP, async {
            for batch in all.chunks(BATCH) {
                let raw: Vec<RawFd> = batch.iter().map(AsRawFd::as_raw_fd).collect();
                let send = || {
                    let (bytes, rights) = ([IoSlice::new(b"+")], [ControlMessage::ScmRights(&raw)]);
                    let (to, flags) = (self.stream.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
                    Ok(sendmsg::<UnixAddr>(to, &bytes, &rights, flags, None)?)
                };
                self.stream.async_io(Interest::WRITABLE, send).await?;
            }
            Ok(())
        })
        .await
    }

    /// Receives so many.
    pub(super) async fn receive(&mut self, count: usize) -> Result<Vec<OwnedFd>, Lost> {
        within(STEP, async {
            let mut all = Vec::with_capacity(count);
            while all.len() < count {
                let receive = || receive(&self.stream);
                let batch = self.stream.async_io(Interest::READABLE, receive).await?;
                if batch.is_empty() {
                    return Err(Lost::Strange("sends fewer sockets than it says".to_owned()));
                }
                all.extend(batch);
            }
            Ok(all)
        })
        .await
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if !self.is_free {
            self.give_up("it could not go on");
        }
    }
}

async fn within<T>(
    longest: Duration,
    work: impl Future<Output = Result<T, Lost>>,
) -> Result<T, Lost> {
    let done = timeout(longest, work).await;
    done.unwrap_or(Err(Lost::Late(longest)))
}

/// The descriptors of one byte.
fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let (mut byte, mut space) = ([0], cmsg_space!([RawFd; BATCH]));
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut bytes, Some(&mut space), flags)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut all = Vec::new();
    for message in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            all.extend(raw.into_iter().map(own));
        }
    }
    Ok(all)
}

/// A descriptor that has just been received.
#[expect(
    unsafe_code,
    reason = "the system has made it for this process a moment ago, and told nobody else of it"
)]
fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: it is open, and nobody else has it: see above.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
