//! In which order a request's targets are tried, and how much time each gets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ask::{Ask, Candidate};
use crate::base::ModelName;
use crate::config::{Model, Target};

/// Why a candidate is passed over without an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// No model of that name is known.
    Unknown,
}

impl Skip {
    /// The contract's name for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
        }
    }
}

/// What is done next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The candidate is passed over.
    Skip(ModelName, Skip),
    /// The candidate's target is tried.
    Try(Pass),
}

/// One target's turn.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The name the client asked for.
    pub candidate: ModelName,
    /// Where it is sent.
    pub target: Arc<Target>,
    /// Candidates left, this one included.
    candidates: u32,
    /// Targets left of this candidate, this one included.
    targets: u32,
}

impl Pass {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        self.candidates == 1 && self.targets == 1
    }

    /// The most that this attempt may take of what is left of the total: an
    /// equal part for each candidate, and within that for each of its
    /// targets. So no candidate, however slow, takes another's time.
    pub fn share(&self, left: Duration) -> Duration {
        left / self.candidates / self.targets
    }
}

/// The steps of one request.
#[derive(Debug)]
pub(super) struct Plan {
    steps: VecDeque<Step>,
    total: Duration,
}

impl Plan {
    /// Nothing where no candidate is known. `dice` draws among weighted
    /// targets.
    pub(super) fn new(ask: &Ask, dice: u64) -> Option<Self> {
        let known = |candidate: &&Candidate| candidate.model.is_some();
        let mut candidates = ask.candidates.iter().filter(known).count();
        let first = ask.candidates.iter().find_map(|c| c.model.as_ref())?;
        let total = first.targets.first()?.timeouts.total;
        let mut steps = VecDeque::with_capacity(ask.candidates.len());
        for Candidate { name, model } in &ask.candidates {
            let Some(model) = model else {
                steps.push_back(Step::Skip(name.clone(), Skip::Unknown));
                continue;
            };
            let targets = drawn(model, dice);
            let count = targets.len();
            for (nth, target) in targets.into_iter().enumerate() {
                steps.push_back(Step::Try(Pass {
                    candidate: name.clone(),
                    target,
                    candidates: u32::try_from(candidates).unwrap_or(u32::MAX),
                    targets: u32::try_from(count - nth).unwrap_or(u32::MAX),
                }));
            }
            candidates -= 1;
        }
        Some(Self { steps, total })
    }

    /// How long all attempts together may take: `timeouts.total` of the first
    /// candidate that is known.
    pub(super) fn total(&self) -> Duration {
        self.total
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}

/// A model's targets in the order they are tried: as they stand, or one drawn
/// by weight and the rest after it.
fn drawn(model: &Model, dice: u64) -> Vec<Arc<Target>> {
    let mut targets = model.targets.clone();
    if model.weighted {
        let sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut mark = dice % sum.max(1);
        let first = targets.iter().position(|target| {
            let weight = u64::from(target.weight);
            let hit = mark < weight;
            mark = mark.saturating_sub(weight);
            hit
        });
        targets[..=first.unwrap_or(0)].rotate_right(1);
    }
    targets
}
