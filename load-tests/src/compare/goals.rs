//! What is aimed for: bounds of figures, or of their ratios within a round.

use super::metric;
use super::scenario::{self, ALONE};
use super::subject::{BARE, DIRECT, NGINX, STANDIN};

/// What a figure is set against.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    /// How much is it above this column's?
    Above(&'static str),
    /// How much does it add to the second column's, as a ratio to what the
    /// first adds to it?
    Added(&'static str, &'static str),
    /// As a ratio to this column's.
    Column(&'static str),
    /// It is taken as it is.
    Nothing,
}

/// One aim.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) scenario: &'static str,
    pub(super) metric: &'static str,
    pub(super) subject: &'static str,
    pub(super) over: Over,
    pub(super) bound: f64,
}

const fn goal(scenario: &'static str, metric: &'static str, over: Over, bound: f64) -> Goal {
    Goal {
        scenario,
        metric,
        subject: STANDIN,
        over,
        bound,
    }
}

/// All of them.
pub(super) const GOALS: &[Goal] = &[
    goal(scenario::PLAIN_2K, metric::CPU, Over::Column(BARE), 0.9),
    goal(scenario::PLAIN_2K, metric::CPU, Over::Column(NGINX), 2.0),
    goal(
        scenario::PLAIN_2K,
        metric::ALONE_P50,
        Over::Added(BARE, DIRECT),
        1.0,
    ),
    goal(
        scenario::PLAIN_2K,
        metric::HALF_P99,
        Over::Added(BARE, DIRECT),
        1.1,
    ),
    goal(scenario::PLAIN_32K, metric::CPU, Over::Column(BARE), 1.0),
    goal(
        scenario::STREAM_FULL,
        metric::CPU_EVENT,
        Over::Column(BARE),
        1.0,
    ),
    goal(
        scenario::STREAM_FULL,
        metric::ALONE_FIRST,
        Over::Added(BARE, DIRECT),
        1.2,
    ),
    goal(
        scenario::STREAM_AT_50,
        metric::GAPS_LONG,
        Over::Above(DIRECT),
        100.0,
    ),
    goal(scenario::SKIP, metric::CPU, Over::Column(ALONE), 1.05),
    goal(
        scenario::FAILOVER_429,
        metric::CPU,
        Over::Column(ALONE),
        1.6,
    ),
    goal(scenario::IDLE, metric::IDLE, Over::Nothing, 12.0),
    goal(scenario::IDLE, metric::READY, Over::Nothing, 100.0),
    goal(scenario::IDLE, metric::SIZE, Over::Nothing, 15.0),
    goal(scenario::STREAMS, metric::PER_STREAM, Over::Nothing, 40.0),
    goal(scenario::BODIES, metric::KEPT, Over::Nothing, 1.1),
    goal(scenario::SOAK, metric::GROWN, Over::Nothing, 1.1),
];

impl Goal {
    /// In words.
    pub(super) fn name(&self) -> String {
        let (subject, metric) = (self.subject, self.metric);
        match self.over {
            Over::Above(base) => format!("{metric}, {subject} above {base}"),
            Over::Added(other, base) => {
                format!("{metric}, {subject} / {other}, both less {base}")
            }
            Over::Column(other) => format!("{metric}, {subject} / {other}"),
            Over::Nothing => format!("{metric}, {subject}"),
        }
    }
}
