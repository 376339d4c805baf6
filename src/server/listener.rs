//! Listening sockets and their accept loops.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::front::{self, Door, Drain};

/// Connections that wait to be accepted: a fleet that restarts comes all at
/// once. The system caps it at its own `somaxconn`.
const BACKLOG: u32 = 4096;

/// How long the loop rests when the process is out of descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// A socket that listens; nobody accepts yet.
pub(super) struct Bound {
    /// As the configuration has it: its port may be 0.
    pub(super) configured: SocketAddr,
    /// With the port that the system gave.
    pub(super) at: SocketAddr,
    socket: TcpListener,
}

/// Binds an address.
pub(super) fn bind(configured: SocketAddr) -> io::Result<Bound> {
    let socket = if configured.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(configured)?;
    let socket = socket.listen(BACKLOG)?;
    Ok(Bound {
        configured,
        at: socket.local_addr()?,
        socket,
    })
}

/// A socket that another process has bound for this address.
pub(super) fn inherited(
    configured: SocketAddr,
    socket: std::net::TcpListener,
) -> io::Result<Bound> {
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket)?;
    Ok(Bound {
        configured,
        at: socket.local_addr()?,
        socket,
    })
}

/// A listener whose connections are served, until it is dropped or retired.
pub(super) struct Standing {
    pub(super) configured: SocketAddr,
    pub(super) at: SocketAddr,
    drain: Arc<Drain>,
    /// Goes before the next, so that the accept loop has the only one left.
    socket: Arc<TcpListener>,
    /// Ends the accept loop by being dropped, or by a word where those who
    /// wait are for another process.
    accepts: oneshot::Sender<()>,
    /// Ends when the socket is closed.
    closed: oneshot::Receiver<()>,
}

impl Standing {
    /// Accepts no more, and waits until the address is free. The connections
    /// that are there are served on, and end with what they ask next.
    pub(super) async fn retire(self) {
        self.drain.retire();
        drop(self.socket);
        drop(self.accepts);
        // Nothing is ever sent.
        let _ = self.closed.await;
    }

    /// The same where another process accepts from this socket: who waits in
    /// it is for that one.
    pub(super) async fn leave(self) {
        self.drain.retire();
        drop(self.socket);
        // A loop that has ended needs no word.
        let _ = self.accepts.send(());
        let _ = self.closed.await;
    }

    /// The socket for another process.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

impl Bound {
    /// Accepts connections and serves them.
    pub(super) fn serve<D: Door>(self, door: Arc<D>) -> Standing {
        let Self {
            configured,
            at,
            socket,
        } = self;
        let (accepts, stop) = oneshot::channel();
        let (closes, closed) = oneshot::channel();
        let drain = Arc::clone(door.drain());
        let socket = Arc::new(socket);
        let accepting = Arc::clone(&socket);
        front::spawn(async move {
            run(accepting, door, stop).await;
            drop(closes);
        });
        Standing {
            configured,
            at,
            drain,
            socket,
            accepts,
            closed,
        }
    }
}

/// Until `stop` is dropped at its other end, or hears something.
async fn run<D: Door>(socket: Arc<TcpListener>, door: Arc<D>, mut stop: oneshot::Receiver<()>) {
    let mut fails = false;
    let is_shared = loop {
        let accepted = tokio::select! {
            biased;
            stopped = &mut stop => break stopped.is_ok(),
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                fails = false;
                front::spawn(front::serve(Arc::clone(&door), stream));
            }
            Err(error) => {
                // Said once for all that fail in a row.
                if !std::mem::replace(&mut fails, true) {
                    log::warn!("accepting: {error}");
                }
                tokio::time::sleep(REST).await;
            }
        }
    };
    let Some(socket) = Arc::into_inner(socket).filter(|_| !is_shared) else {
        return;
    };
    // Who has been let in by the system already would be reset otherwise.
    for stream in waiting(socket) {
        front::spawn(front::serve(Arc::clone(&door), stream));
    }
}

/// The connections that wait in a socket; closes it behind them.
fn waiting(socket: TcpListener) -> Vec<TcpStream> {
    let Ok(socket) = socket.into_std() else {
        return Vec::new();
    };
    let accept = || {
        let (stream, _) = socket.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    };
    std::iter::from_fn(accept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_when_a_socket_goes_is_let_in() {
        let bound = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut clients = Vec::new();
        for _ in 0..200 {
            clients.push(TcpStream::connect(bound.at).await.unwrap());
        }
        let at = bound.at;
        assert_eq!(waiting(bound.socket).len(), 200);
        assert!(TcpStream::connect(at).await.is_err());
    }
}
