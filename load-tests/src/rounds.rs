//! Figures taken round by round, so that what else the machine has to do
//! weighs on neighbours alike.

use std::fmt;

/// One figure of each round: what a request costs, in microseconds, or what
/// two neighbouring rounds make of it.
#[derive(Debug, Default)]
pub(crate) struct Side(pub(crate) Vec<f64>);

impl Side {
    /// What each pair of neighbours makes of it.
    pub(crate) fn beside(&self, other: &Self, make: impl Fn(f64, f64) -> f64) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(one, two)| make(*one, *two)).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut all = self.0.clone();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Between what the middle half lies.
    pub(crate) fn middle(&self) -> (f64, f64) {
        let all = self.sorted();
        let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
        (at(all.len() / 4), at(all.len() * 3 / 4))
    }

    /// No number where there are no rounds.
    pub(crate) fn median(&self) -> f64 {
        let all = self.sorted();
        let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
        let half = all.len() / 2;
        match all.len() % 2 {
            0 => f64::midpoint(at(half.wrapping_sub(1)), at(half)),
            _ => at(half),
        }
    }
}

impl fmt::Display for Side {
    /// The median, and between what the middle half lies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.middle();
        let told = format!("{:.3} ({low:.3} to {high:.3})", self.median());
        f.pad(&told)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn count(requests: u64) -> f64 {
    requests as f64
}

/// How many requests take so many seconds, if each takes so many.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of requests, bounded before"
)]
pub(crate) fn requests_in(seconds: f64, each: f64) -> u64 {
    // A clock that has not ticked says nothing: then each takes a microsecond.
    (seconds / each.max(1e-6)).clamp(1.0, 1e7) as u64
}
