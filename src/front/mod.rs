//! Clients: their connections, their requests, and the way back to them.

mod body;
mod client;
mod connection;
mod crowd;
mod deadline;
mod drain;
mod gate;
mod handshake;
mod http1;
mod ids;
mod intake;
mod models;
mod passthrough;
mod session;

pub(crate) use self::body::Body;
pub(crate) use self::client::{Guest, answer_text};
pub use self::connection::{Door, Kept, serve};
pub use self::crowd::{Crowd, Seat};
pub use self::drain::{Drain, InFlight, Open};
pub use self::gate::Gate;
pub use self::http1::Bounds;
pub(crate) use self::http1::{Http1, Seen, seen};
pub use self::ids::Ids;
pub use self::session::Session;

use std::future::Future;

/// Starts a connection's or a stream's task. What a drain must wait for are
/// the requests in it, and those are counted by [`Drain::enter`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where clients' tasks begin; requests in them are counted"
)]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
