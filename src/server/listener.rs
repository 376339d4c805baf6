//! Listening sockets and their accept loops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::front::{self, Door};

/// Connections that wait to be accepted: a fleet that restarts comes all at
/// once. The system caps it at its own `somaxconn`.
const BACKLOG: u32 = 4096;

/// How long the loop rests when the process is out of descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// Binds an address; gives it back with the port that the system gave.
pub(super) fn bind(at: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = || {
        let socket = if at.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(at)?;
        let listener = socket.listen(BACKLOG)?;
        let at = listener.local_addr()?;
        Ok((listener, at))
    };
    bound().map_err(|error: std::io::Error| format!("cannot listen on {at}: {error}"))
}

/// Accepts connections for as long as the process lives.
pub(super) fn run<D: Door>(listener: TcpListener, door: Arc<D>) {
    front::spawn(async move {
        let mut fails = false;
        loop {
            match listener.accept().await {
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
        }
    });
}
