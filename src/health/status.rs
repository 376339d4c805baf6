//! What is remembered, to be looked at: by the admin port, and by whoever
//! wants to know without asking for admission.

use super::board::{Board, Known};
use super::cell::Cell;
use super::moment::Moment;
use super::remaining::Report;
use super::story::LastError;
use super::target::{Held, TargetHealth};
use super::word::{Phase, State};
use crate::base::{Endpoint, ProviderName};
use crate::config::Target;
use crate::outcome::Skip;

/// A state in the contract's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is left alone for a time.
    Cooling,
    /// Nothing is known against it.
    Healthy,
    /// It failed too often.
    Open,
    /// A probe is on its way.
    Probing,
}

impl Shown {
    /// Its name in `/status` and in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cooling => "cooling",
            Self::Healthy => "healthy",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }

    fn of(state: State) -> Self {
        match state.phase {
            Phase::Healthy => Self::Healthy,
            Phase::Cooling | Phase::Open if state.probed => Self::Probing,
            Phase::Cooling => Self::Cooling,
            Phase::Open => Self::Open,
        }
    }
}

/// One word's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordStatus {
    /// What it is.
    pub state: Shown,
    /// When the next probe is due; nothing where it is healthy.
    pub until: Option<Moment>,
    /// Failures in a row: before commit, or after it if those are more.
    pub consecutive_failures: u8,
}

impl WordStatus {
    fn of(cell: &Cell) -> Self {
        let state = cell.word().state();
        Self {
            state: Shown::of(state),
            until: (state.phase != Phase::Healthy).then_some(state.until),
            consecutive_failures: state.failures.max(state.cuts),
        }
    }

    fn is_healthy(&self) -> bool {
        self.state == Shown::Healthy
    }
}

/// What passes a target over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The provider cannot be reached.
    Connection,
    /// The provider does not take our credential.
    Credential,
    /// Its reported quota is used up.
    Quota,
    /// Its own state.
    Target,
}

impl HeldBy {
    /// Its name in `/status`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Credential => "credential",
            Self::Quota => "quota",
            Self::Target => "target",
        }
    }
}

/// What is remembered of one target.
#[derive(Clone, Copy, Debug)]
pub struct TargetStatus {
    /// What a request for it would meet.
    pub state: Shown,
    /// When its own state last changed.
    pub since: Moment,
    /// When it may be back, where that is known.
    pub until: Option<Moment>,
    /// What passes it over, and the category of the error behind that.
    pub held_by: Option<(HeldBy, &'static str)>,
    /// Its last error; a connection's or credential's stands at the provider.
    pub last_error: Option<LastError>,
    /// Failures in a row.
    pub consecutive_failures: u8,
    /// What its answers last said is left of requests, while that holds.
    pub requests: Option<Report>,
    /// The same of tokens.
    pub tokens: Option<Report>,
    /// Each endpoint's own state.
    pub endpoints: [(Endpoint, WordStatus); 4],
}

/// What is remembered of one provider.
#[derive(Clone, Debug)]
pub struct ProviderStatus {
    /// Its name.
    pub name: ProviderName,
    /// Whether it can be reached.
    pub connection: WordStatus,
    /// Whether it takes our credential.
    pub credential: WordStatus,
    /// When one of the two last changed.
    pub since: Moment,
    /// The last error of either kind.
    pub last_error: Option<LastError>,
}

impl Board {
    /// What is remembered of one target.
    pub fn status(&self, target: &Target, now: Moment) -> TargetStatus {
        let held = self.held(target, |_| false);
        let known = self.known(target);
        match held {
            Held::Configured(health) => target_status(known, health, now),
            Held::MadeUp(Some(health)) => target_status(known, &health, now),
            Held::MadeUp(None) => target_status(known, &TargetHealth::default(), now),
        }
    }

    /// Looks at all targets that clients have made up and something is
    /// remembered of: provider, its name for the model, and what.
    pub fn made_up(&self, now: Moment, mut look: impl FnMut(&ProviderName, &str, TargetStatus)) {
        self.made_up.each(|number, model, health| {
            let mut providers = self.providers.iter();
            if let Some(known) = providers.find(|known| known.number == number) {
                look(
                    &known.provider.name,
                    model,
                    target_status(known, health, now),
                );
            }
        });
    }

    /// What is remembered of the providers, in the order of the file.
    pub fn provider_statuses(&self) -> impl Iterator<Item = ProviderStatus> {
        self.providers.iter().map(|known| {
            let told = known.health.story.told();
            ProviderStatus {
                name: known.provider.name.clone(),
                connection: WordStatus::of(&known.health.connection),
                credential: WordStatus::of(&known.health.credential),
                since: told.since,
                last_error: told.last_error,
            }
        })
    }
}

fn target_status(known: &Known, health: &TargetHealth, now: Moment) -> TargetStatus {
    let told = health.story.told();
    let provider = known.health.story.told();
    let own = WordStatus::of(&health.whole);
    let quota_until = health.remaining.exhausted_until(now);
    let category = |last: Option<LastError>| last.map_or("", |last| last.outcome.label());
    let words = [
        (
            HeldBy::Connection,
            WordStatus::of(&known.health.connection),
            category(provider.last_error),
        ),
        (
            HeldBy::Credential,
            WordStatus::of(&known.health.credential),
            category(provider.last_error),
        ),
        (HeldBy::Target, own, category(told.last_error)),
    ];
    let word = words.into_iter().find(|(_, word, _)| !word.is_healthy());
    let (requests, tokens) = health.remaining.reports(now);
    let (state, until, held_by) = match (word, quota_until) {
        (Some((by, word, why)), _) => (word.state, word.until, Some((by, why))),
        (None, Some(until)) => {
            let why = Skip::Quota.label();
            (Shown::Cooling, Some(until), Some((HeldBy::Quota, why)))
        }
        (None, None) => (Shown::Healthy, None, None),
    };
    TargetStatus {
        state,
        since: told.since,
        until,
        held_by,
        last_error: told.last_error,
        consecutive_failures: own.consecutive_failures,
        requests,
        tokens,
        endpoints: Endpoint::ALL.map(|endpoint| (endpoint, WordStatus::of(health.at(endpoint)))),
    }
}
