//! A state in one word, and its transitions as arithmetic: `(word, event,
//! now) → word`. No clock, no atomics, no chance.
//!
//! ```text
//!            failures, ratio                  moment has come
//!  healthy ──────────────────▶ open ◀─────┐  ┌──▶ probed ──▶ healthy (it answers)
//!     │                          └─────────┴──┤      │
//!     └──▶ cooling (a 429, 403, 404 …) ───────┘      └─────▶ open, twice as long (it fails)
//! ```

use super::moment::Moment;
use super::rules::Rules;

/// What a target, a provider's connection or its credential is known to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known against it.
    #[default]
    Healthy,
    /// It refused, and said or is given a time to be left alone.
    Cooling,
    /// It failed too often.
    Open,
}

/// A state, packed into 64 bits:
/// `until` 38 | generation 5 | level 4 | cuts 7 | failures 7 | probed 1 | phase 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word(u64);

/// A word, unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What it is known to be.
    pub phase: Phase,
    /// A probe is on its way. Only that probe takes this away again.
    pub probed: bool,
    /// Consecutive failures before commit.
    pub failures: u8,
    /// Consecutive answers that broke off after commit. Counted apart: each of
    /// them began well, which ends the other count.
    pub cuts: u8,
    /// Periods spent open or cooling since the last whole answer: each is
    /// twice as long as the one before.
    pub level: u8,
    /// Counts how often it has healed: what was sent out before says nothing
    /// about the time after. Wraps around.
    pub generation: u8,
    /// When a probe is due; the start where it is healthy. Up to 8 years.
    pub until: Moment,
}

const UNTIL: u32 = 26;
const GENERATION: u32 = 21;
const LEVEL: u32 = 17;
const CUTS: u32 = 10;
const FAILURES: u32 = 3;
const MAX_UNTIL: u64 = (1 << (64 - UNTIL)) - 1;
const MAX_GENERATION: u8 = (1 << (UNTIL - GENERATION)) - 1;
const MAX_LEVEL: u8 = (1 << (GENERATION - LEVEL)) - 1;
const MAX_COUNT: u8 = (1 << (LEVEL - CUTS)) - 1;

impl Word {
    /// From what was read from memory.
    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As it is kept in memory.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Unpacks it.
    pub fn state(self) -> State {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "masked to seven bits or fewer"
        )]
        let field = |at: u32, mask: u8| (self.0 >> at) as u8 & mask;
        State {
            phase: match self.0 & 3 {
                0 => Phase::Healthy,
                1 => Phase::Cooling,
                _ => Phase::Open,
            },
            probed: self.0 & 4 != 0,
            failures: field(FAILURES, MAX_COUNT),
            cuts: field(CUTS, MAX_COUNT),
            level: field(LEVEL, MAX_LEVEL),
            generation: field(GENERATION, MAX_GENERATION),
            until: Moment::from_millis(self.0 >> UNTIL),
        }
    }

    /// How often it has healed, by a glance.
    #[expect(clippy::cast_possible_truncation, reason = "masked to five bits")]
    #[inline]
    pub(super) fn generation(self) -> u8 {
        (self.0 >> GENERATION) as u8 & MAX_GENERATION
    }

    /// Whether nothing is known against it, by a glance.
    #[inline]
    pub fn is_healthy(self) -> bool {
        self.0 & 3 == 0
    }

    /// Whether it is healthy and nothing is counted against it: then an answer
    /// to what was sent as usual changes nothing.
    #[inline]
    pub fn is_spotless(self) -> bool {
        const ITS_AGE: u64 = (MAX_GENERATION as u64) << GENERATION;
        self.0 & !ITS_AGE == 0
    }

    /// What a request that would be sent now is told.
    pub fn admit(self, now: Moment) -> Admit {
        let state = self.state();
        match state.phase {
            Phase::Healthy => Admit::Pass,
            _ if state.probed => Admit::Probing,
            Phase::Cooling if state.until > now => Admit::Cooling(state.until),
            Phase::Open if state.until > now => Admit::Open(state.until),
            Phase::Cooling | Phase::Open => Admit::Due(
                State {
                    probed: true,
                    ..state
                }
                .word(),
            ),
        }
    }

    /// The word after an event.
    #[must_use]
    pub fn after(self, from: Sent, event: Event, now: Moment, rules: &Rules, dice: u64) -> Self {
        let state = self.state();
        match event {
            Event::Said => state.said(from, now),
            Event::Finished => state.finished(from),
            Event::Failed { too_many } => {
                let failures = state.failures.saturating_add(1);
                let open = too_many || failures >= rules.failures();
                State { failures, ..state }.failed(state, from, open, now, rules, dice)
            }
            Event::Cut { too_many } => {
                let cuts = state.cuts.saturating_add(1);
                let open = too_many || cuts >= rules.failures();
                State { cuts, ..state }.failed(state, from, open, now, rules, dice)
            }
            Event::Refused { until } => state.refused(from, until, now, rules, dice),
            Event::NoVerdict => State {
                probed: state.probed && from != Sent::AsProbe,
                ..state
            },
            Event::Due => state.mended(now),
        }
        .word()
    }
}

/// What a request that would be sent now is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It cools down until then.
    Cooling(Moment),
    /// A probe is due: who sets this word is the one to send it.
    Due(Word),
    /// Its breaker is open until then.
    Open(Moment),
    /// Nothing is known against it.
    Pass,
    /// A probe is on its way.
    Probing,
}

/// As what a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// After all others had failed, whatever the state.
    AsLastResort,
    /// To find out whether it is back.
    AsProbe,
    /// As any other, to a healthy one of this generation.
    Usually(u8),
}

/// What a request that was sent has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It broke off after commit; or so many have that the ratio is reached.
    Cut {
        /// The ratio's word.
        too_many: bool,
    },
    /// Somebody has mended it: a probe is due now, and what was sent to a
    /// healthy one before says nothing any more.
    Due,
    /// It failed; `too_many` as above.
    Failed {
        /// The ratio's word.
        too_many: bool,
    },
    /// An answer came to its end.
    Finished,
    /// It ended without a verdict.
    NoVerdict,
    /// It was refused, until then where that was said.
    Refused {
        /// When it will be taken again.
        until: Option<Moment>,
    },
    /// An answer has begun.
    Said,
}

impl State {
    /// Packs it; what does not fit is cut to what does.
    pub(super) fn word(self) -> Word {
        let phase = match self.phase {
            Phase::Healthy => 0,
            Phase::Cooling => 1,
            Phase::Open => 2,
        };
        Word(
            phase
                | u64::from(self.probed) << 2
                | u64::from(self.failures.min(MAX_COUNT)) << FAILURES
                | u64::from(self.cuts.min(MAX_COUNT)) << CUTS
                | u64::from(self.level.min(MAX_LEVEL)) << LEVEL
                | u64::from(self.generation & MAX_GENERATION) << GENERATION
                | self.until.as_millis().min(MAX_UNTIL) << UNTIL,
        )
    }

    /// Whether what a request of this kind showed is about this state.
    fn concerns(&self, from: Sent) -> bool {
        match from {
            Sent::AsLastResort | Sent::AsProbe => true,
            Sent::Usually(generation) => generation == self.generation,
        }
    }

    fn next_generation(self) -> u8 {
        self.generation.wrapping_add(1) & MAX_GENERATION
    }

    fn mended(self, now: Moment) -> Self {
        match self.phase {
            // What is on its way was sent to what it was before.
            Phase::Healthy => Self {
                generation: self.next_generation(),
                ..self
            },
            Phase::Cooling | Phase::Open => Self {
                until: self.until.min(now),
                ..self
            },
        }
    }

    fn said(self, from: Sent, now: Moment) -> Self {
        match (from, self.phase) {
            // It has been refused once more while the probe was on its way.
            (Sent::AsProbe, _) if self.until > now => Self {
                probed: false,
                ..self
            },
            (Sent::AsProbe, _) => Self {
                phase: Phase::Healthy,
                probed: false,
                failures: 0,
                until: Moment::default(),
                generation: self.next_generation(),
                ..self
            },
            // It answers, so it is worth a probe, which is to find out whether
            // it takes more than this one.
            (Sent::AsLastResort, Phase::Open) => Self {
                until: self.until.min(now),
                ..self
            },
            (_, Phase::Healthy) if self.concerns(from) => Self {
                failures: 0,
                ..self
            },
            (_, Phase::Cooling | Phase::Healthy | Phase::Open) => self,
        }
    }

    fn finished(self, from: Sent) -> Self {
        if self.phase == Phase::Healthy && self.concerns(from) {
            Self {
                cuts: 0,
                level: 0,
                ..self
            }
        } else {
            self
        }
    }

    /// `self` has counted the failure, `before` has not.
    fn failed(
        self,
        before: Self,
        from: Sent,
        open: bool,
        now: Moment,
        rules: &Rules,
        dice: u64,
    ) -> Self {
        match (from, self.phase) {
            (Sent::AsProbe, _) => Self {
                probed: false,
                ..self
            }
            .opened(now, rules, dice),
            (Sent::Usually(_), Phase::Healthy) if self.concerns(from) => {
                if open {
                    self.opened(now, rules, dice)
                } else {
                    self
                }
            }
            // Sent before it was known, or after it was: nothing new.
            (Sent::AsLastResort | Sent::Usually(_), _) => before,
        }
    }

    fn opened(self, now: Moment, rules: &Rules, dice: u64) -> Self {
        Self {
            phase: Phase::Open,
            until: self.until.max(rules.probe_at(self.level, now, dice)),
            level: self.level.saturating_add(1),
            ..self
        }
    }

    fn refused(
        self,
        from: Sent,
        until: Option<Moment>,
        now: Moment,
        rules: &Rules,
        dice: u64,
    ) -> Self {
        // What it said to a request from before the last recovery is news only
        // where it names a time that is still to come.
        let concerns = self.concerns(from) || until.is_some();
        let is_news = from == Sent::AsProbe || (self.phase == Phase::Healthy && concerns);
        let cooling = Self {
            phase: if is_news { Phase::Cooling } else { self.phase },
            probed: self.probed && from != Sent::AsProbe,
            ..self
        };
        match until {
            Some(until) => Self {
                until: self.until.max(until),
                ..cooling
            },
            None if is_news => Self {
                until: self.until.max(rules.probe_at(self.level, now, dice)),
                level: self.level.saturating_add(1),
                ..cooling
            },
            None => cooling,
        }
    }
}
