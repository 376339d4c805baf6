//! Scripted LLM providers on loopback: what `standin demo`, the whole-binary
//! tests and the load tests talk to instead of the world.
//!
//! A [`Mock`] listens, notes every request as it came ([`Seen`]) and plays
//! what its [`Script`] says: a [`Reply`], which becomes a list of [`Step`]s on
//! the wire. It speaks HTTP/1.1 by hand, because its work is to do what no
//! HTTP library lets one do: break off inside a chunk, lie about a length,
//! answer before the request was read.
//!
//! It depends on no other module of the house.
//!
//! ```
//! # use std::time::Duration;
//! # use standin::mock::{At, Mock, Reply, Script};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let mock = Mock::start(Script::by_model([
//!     ("busy", Script::sequence([Reply::rate_limited(Some("2")), Reply::answer("Back again")])),
//!     ("dead", Reply::unavailable().into()),
//!     ("slow", Reply::answer("Hello").after(Duration::from_millis(50)).into()),
//!     ("torn", Reply::stream_completion(["Hel", "lo"]).cut(At::Event(2)).into()),
//! ]))
//! .await?;
//! let base_url = mock.base_url(); // what a provider's `base_url` is set to
//! # let mut peer = tokio::net::TcpStream::connect(mock.addr()).await?;
//! # tokio::io::AsyncWriteExt::write_all(&mut peer, b"GET /v1/models HTTP/1.1\r\n\r\n").await?;
//! mock.wait_for(1).await; // until a request has come
//! assert_eq!(mock.seen()[0].target, "/v1/models");
//! # Ok(())
//! # }
//! ```

mod completion;
mod connection;
mod content;
mod error;
mod listener;
mod message;
mod reply;
mod responses;
mod script;
mod seen;
mod step;
mod wire;

pub use completion::Usage;
pub use error::failures;
pub use listener::{Counts, Mock, Refused};
pub use reply::Reply;
pub use script::{Greeting, Script, roll};
pub use seen::{Arrived, Seen};
pub use step::{At, Framing, Gate, Step};

#[cfg(test)]
mod tests;
