//! What is remembered of targets and providers: who is rate limited, who is
//! down, what is left of a quota; and who may be asked, and who probes.
//!
//! Pure: time and chance are arguments. A state is one [`Word`]; what happens
//! to it is arithmetic, applied by compare-and-swap. A target is admitted when
//! its provider's connection and credential, its own word and the word of the
//! endpoint admit it, and its reported quota has room. A request holds its
//! place as an [`Admission`], which reports what came of it.

mod admission;
mod board;
mod build;
mod cell;
#[cfg(test)]
mod glance;
mod made_up;
mod moment;
mod remaining;
mod rules;
mod status;
mod story;
mod target;
mod tell;
mod window;
mod word;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Failed};
pub use board::{Board, Refused, Wish};
pub use cell::{Atom, Cell, Claimed};
#[cfg(test)]
pub(crate) use glance::Glance;
pub use moment::Moment;
pub use remaining::Report;
pub use rules::Rules;
pub use status::{HeldBy, ProviderStatus, Shown, TargetStatus, WordStatus};
pub use story::LastError;
pub use word::{Admit, Event, Phase, Sent, State, Word};
