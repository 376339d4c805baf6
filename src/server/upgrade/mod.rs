//! Hands the listening sockets of a running process to a new one.
//!
//! The old process gets SIGQUIT and waits at `shutdown.upgrade_socket`, the
//! new one is started with `--upgrade` and looks for it there; either may come
//! first. They say in turn (see [`Word`]):
//!
//! | who | says | and then |
//! |---|---|---|
//! | new | `hello` | |
//! | old | `sockets`, and the descriptors | the new one builds all that it needs |
//! | new | `ready` | the old one hands over the ledger |
//! | old | `go` | the new one opens the ledger, and accepts |
//! | new | `serving` | the old one accepts no more |
//! | old | `leaving` | and ends with its last connection |
//!
//! Up to `serving` the old one serves as if nothing were going on, and goes on
//! so whatever becomes of the other. From `sockets` on the new one goes on
//! where the old one dies. Whoever gives up says `failed`.
//!
//! Nobody can know what the other one has not heard yet, so that both may
//! serve for a while, and never nobody: after `serving` the new one ends only
//! where it hears `failed`, and the old one leaves only where nothing has
//! followed on `serving`, not even the end of the connection. Ended by a
//! signal after `go`, the old one says nothing, and the new one goes on alone.

mod give;
mod message;
mod place;
mod take;
mod talk;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use self::give::{Freed, Offer, Successor, give};
pub(super) use self::message::{Door, Socket};
pub(super) use self::take::{Inherited, Taken, take};

/// How long each waits for the other to come: the contract's.
const WAIT: Duration = Duration::from_secs(10);

/// How long whoever comes may take to say who it is: others wait behind it.
const HELLO: Duration = Duration::from_secs(3);

/// How long an answer may take that needs no work.
const STEP: Duration = Duration::from_secs(10);

/// How long the new process may take to be ready, and then to open the ledger
/// and serve: many credentials and a large database on a slow disk.
const WORK: Duration = Duration::from_mins(1);
