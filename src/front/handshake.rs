//! TLS with a client: the handshake, and what becomes of who does not speak
//! it.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;

use super::connection::Door;
use super::crowd::turn_away;
use crate::refusal::Refusal;
use crate::transport::Transport;

/// The first byte of all that TLS begins with (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Meets a client, until a moment; nothing where that fails, or a drain begins
/// before it has said anything.
pub(super) async fn handshake<D: Door>(
    door: &D,
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    deadline: Instant,
    draining: &mut watch::Receiver<bool>,
) -> Option<Transport> {
    let met = tokio::select! {
        biased;
        met = timeout_at(deadline, meet(tcp, config)) => met,
        _ = draining.changed() => return None,
    };
    match met {
        Ok(Ok(Met::Tls(transport))) => return Some(transport),
        // It may have only looked whether somebody is there.
        Ok(Ok(Met::Gone)) => return None,
        Ok(Ok(Met::Plain(tcp))) => {
            log::debug!("a client that speaks no TLS where that is spoken");
            turn_away(tcp, None, &Refusal::SpeaksTls, door.new_id()).await;
        }
        // The library's own words: what it says of a certificate is its names.
        Ok(Err(error)) => log::debug!("a handshake that failed: {error}"),
        Err(_) => log::debug!("a handshake that took too long"),
    }
    door.handshake_failed();
    None
}

/// Who a client turns out to be.
enum Met {
    Gone,
    Plain(TcpStream),
    Tls(Transport),
}

async fn meet(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Met> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Ok(Met::Gone);
    }
    if first != [HANDSHAKE] {
        return Ok(Met::Plain(tcp));
    }
    Transport::accept(tcp, config).await.map(Met::Tls)
}
