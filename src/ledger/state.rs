//! How a ledger is, for metrics and readiness.

use std::sync::Arc;
use std::time::SystemTime;

/// The wall clock, or a test's.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Something that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What, in words.
    pub why: String,
    /// Since when.
    pub since: SystemTime,
}

impl Trouble {
    /// Notes trouble; whether the words are new.
    pub(super) fn begin(place: &mut Option<Self>, why: &str, now: &Clock) -> bool {
        match place {
            Some(trouble) if trouble.why == why => false,
            Some(trouble) => {
                why.clone_into(&mut trouble.why);
                true
            }
            None => {
                let since = now();
                *place = Some(Self {
                    why: why.to_owned(),
                    since,
                });
                true
            }
        }
    }
}

/// How a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Records cannot be made durable: what is answered now is lost if the
    /// process dies.
    pub journal: Option<Trouble>,
    /// Records are durable, but do not reach the database.
    pub database: Option<Trouble>,
    /// The last record's number; 0 before the first.
    pub appended: u64,
    /// The last number that the database has, as far as is known.
    pub imported: u64,
    /// Records that wait in memory until they can be written.
    pub waiting: usize,
    /// Records that could not wait any more, since the process began.
    pub lost: u64,
    /// Records that were durable and cannot be read any more, since the
    /// process began. Their segments are kept aside as `*.damaged`.
    pub damaged: u64,
}
