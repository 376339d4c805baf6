//! All that is remembered, for one configuration. What is known of targets
//! that stay survives a reload.

use std::sync::Arc;
use std::time::Instant;

use super::admission::Admission;
use super::cell::Cell;
use super::made_up::MadeUp;
use super::moment::Moment;
use super::remaining::Counted;
use super::rules::Rules;
use super::story::LastError;
use super::target::{Held, ProviderHealth, TargetHealth};
use super::word::{Admit, Sent, Word};
use crate::base::Endpoint;
use crate::config::{Provider, Target};
use crate::outcome::{Blame, Outcome, Skip};

/// What is remembered of every target and provider.
#[derive(Debug)]
pub struct Board {
    pub(super) rules: Rules,
    pub(super) started: Instant,
    /// By [`Provider::index`].
    pub(super) providers: Vec<Known>,
    /// By [`Target::index`].
    pub(super) targets: Vec<(Arc<Target>, Arc<TargetHealth>)>,
    pub(super) made_up: Arc<MadeUp>,
    /// The last number that a provider was given.
    pub(super) last_number: u64,
}

/// A provider of the configuration.
#[derive(Debug)]
pub(super) struct Known {
    /// Never given twice, so that what clients made up at one provider is not
    /// taken for another one's.
    pub(super) number: u64,
    pub(super) provider: Arc<Provider>,
    pub(super) health: Arc<ProviderHealth>,
}

/// One of the words that a target has to be admitted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Connection,
    Credential,
    Target,
    Endpoint,
}

impl Place {
    /// In the order they are asked.
    pub(super) const ALL: [Self; 4] = [
        Self::Connection,
        Self::Credential,
        Self::Target,
        Self::Endpoint,
    ];
}

/// Why a target is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Skip,
    /// When it may be back, where that is known.
    pub until: Option<Moment>,
}

/// What one request wants of a target.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where it would be sent; of the board's own configuration.
    pub target: &'a Target,
    /// Which operation.
    pub endpoint: Endpoint,
    /// When.
    pub now: Moment,
    /// 64 random bits, for jitter.
    pub dice: u64,
}

impl Board {
    /// An instant as live state counts time.
    pub fn moment(&self, now: Instant) -> Moment {
        Moment::at(now.saturating_duration_since(self.started))
    }

    #[inline]
    pub(super) fn known(&self, target: &Target) -> &Known {
        self.providers
            .get(target.provider.index)
            .expect("a board knows every provider of its configuration")
    }

    /// What is remembered of a target, looked at without a shared write where
    /// it is in order.
    #[inline]
    pub(super) fn held(
        &self,
        target: &Target,
        is_clear: impl Fn(&TargetHealth) -> bool,
    ) -> Held<'_> {
        if let Some((_, health)) = target.index.and_then(|index| self.targets.get(index)) {
            return Held::Configured(health);
        }
        let number = self.known(target).number;
        let held = self.made_up.look(number, &target.upstream_model, |health| {
            (!is_clear(health)).then(|| Arc::clone(health))
        });
        Held::MadeUp(held.flatten())
    }

    /// What is remembered of a target, to add to it.
    pub(super) fn entered(&self, target: &Target, now: Moment) -> Held<'_> {
        match target.index.and_then(|index| self.targets.get(index)) {
            Some((_, health)) => Held::Configured(health),
            None => {
                let number = self.known(target).number;
                Held::MadeUp(Some(self.made_up.enter(
                    number,
                    &target.upstream_model,
                    now,
                )))
            }
        }
    }

    /// Admits one request to a target. It costs nothing and writes nothing
    /// where all is well and no quota is reported. `tokens` says how many the
    /// request is taken to need, and is only asked where that matters.
    ///
    /// # Errors
    /// The target would fail: why, and until when.
    pub fn admit<'a>(
        &'a self,
        wish: Wish<'a>,
        tokens: impl FnOnce() -> u64,
    ) -> Result<Admission<'a>, Refused> {
        let now = wish.now;
        // One that has healed before is of a later generation, and one that has
        // failed is to be told that it answers: neither is as good as unknown.
        let held = self.held(wish.target, |health| {
            health.whole.word() == Word::default()
                && health.at(wish.endpoint).word() == Word::default()
                && health.remaining.reports(now) == (None, None)
        });
        // Nobody takes a probe's place who is not let through everywhere.
        let mut sent = [Sent::Usually(0); 4];
        let mut is_due = false;
        for place in Place::ALL {
            let Some(cell) = self.cell(place, wish, &held) else {
                continue;
            };
            let word = cell.word();
            if word.is_healthy() {
                sent[place as usize] = Sent::Usually(word.generation());
            } else if let Some(refused) = refused(place, word.admit(now)) {
                return Err(refused);
            } else {
                is_due = true;
            }
        }
        let counted = match held.health() {
            Some(health) => health.remaining.admit(tokens, now).map_err(out_of_quota)?,
            None => Counted::default(),
        };
        let admission = Admission::new(self, wish, held, sent, counted);
        if is_due {
            admission.claimed()
        } else {
            Ok(admission)
        }
    }

    /// Whether a request would be admitted, were it sent now; as a probe too.
    pub fn admits(&self, wish: Wish<'_>) -> bool {
        let held = self.held(wish.target, |_| false);
        let by_words = Place::ALL.into_iter().all(|place| {
            let cell = self.cell(place, wish, &held);
            cell.is_none_or(|cell| refused(place, cell.word().admit(wish.now)).is_none())
        });
        let health = held.health();
        by_words && health.is_none_or(|h| h.remaining.exhausted_until(wish.now).is_none())
    }

    /// Admits one request whatever the state, after everything else has
    /// failed. It probes nothing.
    ///
    /// # Errors
    /// So many are at it already: the error that counts instead.
    pub fn last_resort<'a>(&'a self, wish: Wish<'a>) -> Result<Admission<'a>, LastError> {
        let held = self.entered(wish.target, wish.now);
        let is_back = Place::ALL.into_iter().all(|place| {
            let cell = self.cell(place, wish, &held);
            cell.is_none_or(|cell| cell.word().is_healthy())
        });
        let has_quota = held
            .health()
            .is_none_or(|health| health.remaining.reports(wish.now) == (None, None));
        if is_back && has_quota {
            let sent = Place::ALL.map(|place| {
                let cell = self.cell(place, wish, &held);
                Sent::Usually(cell.map_or(0, |cell| cell.word().generation()))
            });
            let counted = Counted::default();
            return Ok(Admission::new(self, wish, held, sent, counted));
        }
        let takes = held.health().is_none_or(TargetHealth::takes_last_resort);
        if takes {
            Ok(Admission::last_resort(self, wish, held))
        } else {
            Err(self.last_error(wish))
        }
    }

    /// The error that a target is passed over for.
    fn last_error(&self, wish: Wish<'_>) -> LastError {
        let known = self.known(wish.target);
        let provider_is_bad = [&known.health.connection, &known.health.credential]
            .into_iter()
            .any(|cell| !cell.word().is_healthy());
        let held = self.held(wish.target, |_| false);
        let of_target = held
            .health()
            .and_then(|health| health.story.told().last_error);
        let of_provider = known.health.story.told().last_error;
        let (first, second) = if provider_is_bad {
            (of_provider, of_target)
        } else {
            (of_target, of_provider)
        };
        // With no error at all it is the quota that is used up.
        first.or(second).unwrap_or(LastError {
            outcome: Outcome::RateLimited(Blame::Target),
            status: Some(429),
            at: wish.now,
        })
    }

    /// When a target that has failed or is passed over may be back, where that
    /// is known.
    pub fn back_at(&self, target: &Target, endpoint: Endpoint, now: Moment) -> Option<Moment> {
        let wish = Wish {
            target,
            endpoint,
            now,
            dice: 0,
        };
        let held = self.held(target, |_| false);
        let back = |place| match self.cell(place, wish, &held)?.word().admit(now) {
            Admit::Pass | Admit::Probing => None,
            Admit::Due(_) => Some(now),
            Admit::Cooling(until) | Admit::Open(until) => Some(until),
        };
        let by_words = Place::ALL.into_iter().filter_map(back).max();
        let health = held.health();
        let by_quota = health.and_then(|health| health.remaining.exhausted_until(now));
        // A provider's own time is told without the jitter that is ours.
        let said = health.and_then(|health| health.story.told().said_until);
        let by_words = match (by_words, said.filter(|said| *said > now)) {
            (Some(word), Some(said)) => Some(word.min(said)),
            (word, _) => word,
        };
        by_words.max(by_quota)
    }

    /// One of a target's words; none for a made-up one of which nothing is
    /// remembered.
    #[inline]
    pub(super) fn cell<'h>(
        &'h self,
        place: Place,
        wish: Wish<'_>,
        held: &'h Held<'_>,
    ) -> Option<&'h Cell> {
        match place {
            Place::Connection => Some(&self.known(wish.target).health.connection),
            Place::Credential => Some(&self.known(wish.target).health.credential),
            Place::Target => held.health().map(|health| &health.whole),
            Place::Endpoint => held.health().map(|health| health.at(wish.endpoint)),
        }
    }
}

fn out_of_quota(until: Moment) -> Refused {
    Refused {
        why: Skip::Quota,
        until: Some(until),
    }
}

/// What a word's answer means for a request.
pub(super) fn refused(place: Place, admit: Admit) -> Option<Refused> {
    let (why, until) = match admit {
        Admit::Due(_) | Admit::Pass => return None,
        Admit::Probing => (Skip::Probing, None),
        Admit::Cooling(until) => (Skip::Cooling, Some(until)),
        Admit::Open(until) => (Skip::Open, Some(until)),
    };
    let why = match (place, why) {
        (Place::Credential, Skip::Cooling | Skip::Open) => Skip::Credential,
        (Place::Connection | Place::Credential | Place::Endpoint | Place::Target, why) => why,
    };
    Some(Refused { why, until })
}
