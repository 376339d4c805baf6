//! In which order a request's targets are tried, and how much time each gets.
//!
//! Two rounds: the first passes over what live state says would fail; the
//! second, when all others have failed, tries just those, once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::ask::{Ask, Candidate};
use crate::base::ModelName;
use crate::config::{Model, Target};
use crate::health::{Admission, Board, LastError, Moment, Wish};
use crate::outcome::Skip;
use crate::refusal::Refusal;
use crate::wire::drill::Drill;

/// What is done next.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The candidate's target fails, since the request asks for that.
    Drill(Pass, Drill),
    /// The candidate, or a target of it, is passed over.
    Skip(ModelName, Option<Arc<Target>>, Skip),
    /// The candidate's target is tried.
    Try(Pass, Admission<'a>),
    /// Too many others try the same against all odds: what it failed with
    /// before counts as its try.
    Recall(Pass, LastError),
}

/// One target's turn.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The name the client asked for.
    pub candidate: ModelName,
    /// Where it is sent.
    pub target: Arc<Target>,
    /// It was passed over at first, and everything else has failed.
    pub is_last_resort: bool,
    /// Its place among the request's turns, from 0.
    pub turn: u32,
    /// Candidates left, this one included.
    candidates: u32,
    /// Targets left of this candidate, this one included.
    targets: u32,
    /// Nothing that is known to work comes after it.
    is_last: bool,
}

impl Pass {
    /// Whether nothing comes after it but what is known to fail: a slow
    /// answer is then better than what its own timeouts would bring.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The most that this attempt may take of what is left of the total: an
    /// equal part for each candidate, and within that for each of its
    /// targets. So no candidate, however slow, takes another's time.
    pub fn share(&self, left: Duration) -> Duration {
        left / self.candidates / self.targets
    }
}

/// One name, or one home of it, that is still to come.
#[derive(Clone, Copy, Debug)]
enum Turn<'a> {
    NotAllowed(&'a Candidate, &'a Arc<Target>),
    Target(&'a Candidate, &'a Arc<Target>),
    Unknown(&'a Candidate),
}

/// The steps of one request.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    ask: &'a Ask,
    board: &'a Board,
    dice: u64,
    turns: VecDeque<Turn<'a>>,
    /// Passed over in the first round.
    skipped: VecDeque<Turn<'a>>,
    is_last_resort: bool,
    /// Turns taken so far.
    taken: u32,
    total: Duration,
}

impl<'a> Plan<'a> {
    /// `dice` draws among weighted targets and spreads probes.
    ///
    /// # Errors
    /// No candidate is known, or none of those that are is allowed.
    pub(super) fn new(
        ask: &'a Ask,
        board: &'a Board,
        account: &Account<'_>,
        dice: u64,
    ) -> Result<Self, Refusal> {
        let named = |candidate: Option<&Candidate>| {
            candidate.map_or_else(String::new, |candidate| candidate.name.to_string())
        };
        let mut known = ask.candidates.iter().filter(|c| c.model.is_some());
        let Some((first, model)) = known.next().and_then(|c| Some((c, c.model.as_ref()?))) else {
            return Err(Refusal::UnknownModel(named(ask.candidates.first())));
        };
        let total = model
            .targets
            .first()
            .map_or(Duration::ZERO, |t| t.timeouts.total);
        let mut turns = VecDeque::with_capacity(ask.candidates.len());
        for candidate in &ask.candidates {
            match &candidate.model {
                None => turns.push_back(Turn::Unknown(candidate)),
                Some(model) => {
                    let targets = drawn(model, dice).into_iter();
                    turns.extend(targets.map(|target| {
                        if account.may(&candidate.name, target) {
                            Turn::Target(candidate, target)
                        } else {
                            Turn::NotAllowed(candidate, target)
                        }
                    }));
                }
            }
        }
        if !turns.iter().any(|turn| matches!(turn, Turn::Target(..))) {
            return Err(Refusal::NotAllowed(named(Some(first))));
        }
        Ok(Self {
            ask,
            board,
            dice,
            turns,
            skipped: VecDeque::new(),
            is_last_resort: false,
            taken: 0,
            total,
        })
    }

    /// How long all attempts together may take: `timeouts.total` of the first
    /// candidate that is known.
    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// What is done next.
    pub(super) fn next(&mut self, now: Moment) -> Option<Step<'a>> {
        if self.turns.is_empty() && !self.is_last_resort {
            self.is_last_resort = true;
            std::mem::swap(&mut self.turns, &mut self.skipped);
        }
        let (candidate, target) = match self.turns.pop_front()? {
            Turn::Unknown(candidate) => {
                return Some(Step::Skip(candidate.name.clone(), None, Skip::Unknown));
            }
            Turn::NotAllowed(candidate, target) => {
                let target = Some(Arc::clone(target));
                let name = candidate.name.clone();
                return Some(Step::Skip(name, target, Skip::NotAllowed));
            }
            Turn::Target(candidate, target) => (candidate, target),
        };
        if let Some(drill) = candidate.drill {
            let pass = self.pass(candidate, target, now);
            self.taken += 1;
            return Some(Step::Drill(pass, drill));
        }
        let wish = self.wish(target, now);
        if self.is_last_resort {
            let pass = self.pass(candidate, target, now);
            self.taken += 1;
            return Some(match self.board.last_resort(wish) {
                Ok(admission) => Step::Try(pass, admission),
                Err(error) => Step::Recall(pass, error),
            });
        }
        let tokens = || self.ask.tokens();
        Some(match self.board.admit(wish, tokens) {
            Ok(admission) => {
                let pass = self.pass(candidate, target, now);
                self.taken += 1;
                Step::Try(pass, admission)
            }
            Err(refused) => {
                self.skipped.push_back(Turn::Target(candidate, target));
                Step::Skip(
                    candidate.name.clone(),
                    Some(Arc::clone(target)),
                    refused.why,
                )
            }
        })
    }

    fn wish(&self, target: &'a Target, now: Moment) -> Wish<'a> {
        Wish {
            target,
            endpoint: self.ask.endpoint,
            now,
            dice: self.dice,
        }
    }

    fn pass(&self, candidate: &'a Candidate, target: &'a Arc<Target>, now: Moment) -> Pass {
        let is_own = |turn: &&Turn<'_>| turn.is_of(candidate);
        let works = |turn: &Turn<'a>| match *turn {
            // What is to fail is taken for as good as any until it does.
            Turn::Target(candidate, _) if candidate.drill.is_some() => true,
            Turn::Target(_, target) => self.board.admits(self.wish(target, now)),
            Turn::NotAllowed(..) | Turn::Unknown(_) => false,
        };
        Pass {
            candidate: candidate.name.clone(),
            target: Arc::clone(target),
            is_last_resort: self.is_last_resort,
            turn: self.taken,
            candidates: 1 + others(&self.turns, Some(candidate)) + others(&self.skipped, None),
            targets: 1 + count(self.turns.iter().filter(is_own)),
            is_last: if self.is_last_resort {
                self.turns.is_empty()
            } else {
                !self.turns.iter().any(works)
            },
        }
    }
}

impl Turn<'_> {
    fn is_of(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Target(own, _) => std::ptr::eq(*own, candidate),
            Self::NotAllowed(..) | Self::Unknown(_) => false,
        }
    }
}

/// The candidates among these turns, but for the one whose turn it is. A
/// candidate's targets stand together.
fn others<'a>(turns: &VecDeque<Turn<'a>>, mut last: Option<&'a Candidate>) -> u32 {
    let mut others = 0;
    for turn in turns {
        if let Turn::Target(next, _) = *turn
            && !last.is_some_and(|last| std::ptr::eq(last, next))
        {
            others += 1;
            last = Some(next);
        }
    }
    others
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// A model's targets in the order they are tried: as they stand, or one drawn
/// by weight and the rest after it.
fn drawn(model: &Model, dice: u64) -> Vec<&Arc<Target>> {
    let mut targets: Vec<&Arc<Target>> = model.targets.iter().collect();
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
