//! What a state's word has no room for: since when, and what the last error
//! was. Written when something goes wrong or changes, never on a healthy way.

use parking_lot::Mutex;

use super::moment::Moment;
use crate::outcome::Outcome;

/// An error that is remembered: its category, never its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// How the attempt ended.
    pub outcome: Outcome,
    /// The HTTP status that came, where one did.
    pub status: Option<u16>,
    /// When.
    pub at: Moment,
}

/// Since when a state holds, and the last error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) since: Moment,
    pub(super) last_error: Option<LastError>,
    /// What the provider said of its last refusal, without our jitter.
    pub(super) said_until: Option<Moment>,
}

/// The same, shared.
#[derive(Debug, Default)]
pub(super) struct Story(Mutex<Told>);

impl Story {
    pub(super) fn told(&self) -> Told {
        *self.0.lock()
    }

    pub(super) fn errs(&self, error: LastError, said_until: Option<Moment>) {
        let mut told = self.0.lock();
        told.last_error = Some(error);
        told.said_until = said_until.or(told.said_until);
    }

    pub(super) fn changes(&self, now: Moment) {
        self.0.lock().since = now;
    }
}
