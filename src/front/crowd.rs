//! Clients' connections in all: how many there may be, and what becomes of one
//! more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use nix::sys::resource::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

use super::client::refuse;
use super::http1::{Bounds, Http1};
use super::session::Session;
use crate::base::{Place, Places};
use crate::patience::within;
use crate::refusal::Refusal;
use crate::transport::Transport;

/// So many that are turned away are told so at a time; more are only closed.
const TOLD: usize = 256;

/// How long one may take to be told.
const TELLING: Duration = Duration::from_secs(1);

/// Descriptors that are kept for all else: those who are being turned away,
/// the admin port, the ledger, providers' idle connections.
const SPARE: usize = 512;

/// The connections of a door.
#[derive(Debug)]
pub struct Crowd {
    /// What its limit is called.
    limit: &'static str,
    seated: Places,
    told: Places,
    /// Has been said.
    is_full: AtomicBool,
}

/// What the listeners of a process let in at once.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) crowd: Crowd,
    /// As many connections as there are descriptors for.
    pub(super) fitting: usize,
    /// Requests that are being served.
    pub(super) requests: Places,
    /// Bytes of their bodies.
    pub(super) bodies: Places,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            crowd: Crowd::new("limits.connections"),
            fitting: fitting(),
            requests: Places::default(),
            bodies: Places::default(),
        }
    }
}

/// What becomes of a connection.
#[derive(Debug)]
pub enum Seat<'a> {
    /// It is served, as long as this is held.
    Taken(Place<'a>),
    /// It is told that there is no place left.
    Full(Place<'a>),
    /// It is closed: too many are being told.
    Crammed,
}

impl Crowd {
    /// Nobody is there. `limit` is what the log calls its limit.
    pub fn new(limit: &'static str) -> Self {
        Self {
            limit,
            seated: Places::default(),
            told: Places::default(),
            is_full: AtomicBool::new(false),
        }
    }

    /// One more, where there may be so many.
    pub fn seat(&self, most: usize) -> Seat<'_> {
        if let Some(place) = self.seated.take(1, most) {
            // One that leaves and one that comes are no news.
            let has_room = self.seated.taken() <= most - most / 8;
            if has_room && self.is_full.load(Ordering::Relaxed) {
                self.is_full.store(false, Ordering::Relaxed);
            }
            return Seat::Taken(place);
        }
        if !self.is_full.swap(true, Ordering::Relaxed) {
            let limit = self.limit;
            log::warn!("{limit}: there are {most} connections, and more are turned away");
        }
        self.told.take(1, TOLD).map_or(Seat::Crammed, Seat::Full)
    }
}

/// How many clients the process's descriptors suffice for: each stream holds
/// two, the client's and the provider's.
fn fitting() -> usize {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let all = limits.map_or(usize::MAX, |(now, _)| {
        usize::try_from(now).unwrap_or(usize::MAX)
    });
    (all - SPARE.min(all / 4)) / 2
}

/// Says why a connection is not served, to whoever listens. A load balancer
/// takes it for what it is, and a closed connection for a fault.
pub(super) async fn turn_away(
    tcp: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    refusal: &Refusal,
    id: HeaderValue,
) {
    let told = within(TELLING, async {
        let transport = match tls {
            None => Transport::Tcp(tcp),
            Some(config) => match Transport::accept(tcp, config).await {
                Ok(transport) => transport,
                Err(_) => return,
            },
        };
        let mut connection = Http1::new(transport, Bounds::default());
        connection.close_after();
        refuse(&mut Session::http1(&mut connection), refusal, id).await;
        connection.linger().await;
    });
    // Whoever did not listen is not told.
    let _ = told.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(seat: &Seat<'_>) -> bool {
        matches!(seat, Seat::Taken(_))
    }

    #[test]
    fn one_more_than_there_may_be_is_told_and_when_too_many_are_it_is_closed() {
        let crowd = Crowd::new("test");
        let seats: Vec<_> = (0..8).map(|_| crowd.seat(8)).collect();
        assert!(seats.iter().all(is_taken));
        let told: Vec<_> = (0..TOLD).map(|_| crowd.seat(8)).collect();
        assert!(told.iter().all(|seat| matches!(seat, Seat::Full(_))));
        assert!(matches!(crowd.seat(8), Seat::Crammed));
        drop(told);
        assert!(matches!(crowd.seat(8), Seat::Full(_)));
        drop(seats);
        assert!(is_taken(&crowd.seat(8)));
    }

    #[test]
    fn it_is_said_once_until_there_has_been_room_again() {
        let crowd = Crowd::new("test");
        let said = || crowd.is_full.load(Ordering::Relaxed);
        let mut seats: Vec<_> = (0..16).map(|_| crowd.seat(16)).collect();
        assert!(!said());
        drop(crowd.seat(16));
        assert!(said());
        seats.pop();
        seats.push(crowd.seat(16));
        assert!(said(), "one left and one came");
        seats.truncate(13);
        seats.push(crowd.seat(16));
        assert!(!said());
    }

    #[test]
    fn descriptors_are_left_for_all_else() {
        let (now, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let fit = fitting();
        assert!(
            fit > 0 && (fit as u64).saturating_mul(2) < now,
            "{fit} of {now}"
        );
    }
}
