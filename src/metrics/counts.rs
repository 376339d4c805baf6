//! The handles of one configuration. Each is resolved when it is first needed
//! and kept, so that a request hashes its models' names, and no labels.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Counter, Histogram, IntCounter};

use super::families::Metrics;
use super::labels::{Ended, NONE, OTHER, PASSED, endpoint_label, operation, place_of};
use crate::base::{Endpoint, ModelName, Named};
use crate::config::{Config, Provider};
use crate::outcome::{Outcome, Skip};
use crate::refusal::Scarce;
use crate::usage::{Tokens, Usd};

/// An answer that began, at its end.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The name of the key that asked.
    pub key: Option<&'a Arc<str>>,
    /// From the request's body to the first word, of a stream.
    pub first: Option<Duration>,
    /// From the request's body to the answer's end.
    pub took: Duration,
    /// For each output token after the first, where that is known.
    pub per_token: Option<Duration>,
    /// What it used.
    pub tokens: Tokens,
    /// What it cost, where its price is known.
    pub cost: Option<Usd>,
}

/// The handles of one configuration. The counters behind them are the
/// process's and go on.
#[derive(Debug)]
pub struct Counts {
    pub(super) metrics: Arc<Metrics>,
    /// By endpoint, then by [`Ended`]; behind them those of no endpoint, and
    /// those that are passed through.
    requests: [[IntCounter; 6]; 6],
    models: Named<ModelName, Vec<Place>>,
    /// Of every name that is not listed, at every provider.
    others: Vec<Place>,
    /// Of a name that stands for no provider.
    unknown: Place,
    /// From 1, in the order of the file.
    keys: Named<Arc<str>, usize>,
}

/// A model at one provider.
#[derive(Debug)]
struct Place {
    /// [`Provider::index`]
    provider: usize,
    labels: [Arc<str>; 2],
    attempts: [OnceLock<IntCounter>; 15],
    skips: [OnceLock<IntCounter>; 7],
    /// By endpoint.
    answers: [OnceLock<Box<Answers>>; 4],
    tokens: OnceLock<[IntCounter; 4]>,
    /// By key; the first is that of no key.
    costs: OnceLock<Box<[OnceLock<Counter>]>>,
}

#[derive(Debug)]
struct Answers {
    duration: Histogram,
    first: Histogram,
    per_token: Histogram,
    input: Histogram,
    output: Histogram,
}

impl Counts {
    /// The handles for a configuration; counters go on from those `before`.
    pub fn new(config: &Config, before: Option<&Self>) -> Self {
        let metrics = before.map_or_else(Arc::default, |before| Arc::clone(&before.metrics));
        let endpoints = Endpoint::ALL.map(endpoint_label);
        let [chat, completions, embeddings, responses] = endpoints;
        let endpoints = [chat, completions, embeddings, responses, NONE, PASSED];
        let requests = endpoints.map(|endpoint| {
            let ended = |ended: Ended| [endpoint, ended.label()];
            Ended::ALL.map(|end| metrics.requests.with_label_values(&ended(end)))
        });
        let other: Arc<str> = OTHER.into();
        let others = config.providers.iter();
        let keys = config.keys.iter().map(|key| Arc::clone(&key.name));
        Self {
            requests,
            models: config
                .listed
                .iter()
                .map(|name| (name.clone(), places(config, name)))
                .collect(),
            others: others.map(|p| Place::new(&other, Some(p))).collect(),
            unknown: Place::new(&other, None),
            keys: keys.zip(1..).collect(),
            metrics,
        }
    }

    /// Counts a request that has ended.
    pub fn ended(&self, endpoint: Option<Endpoint>, ended: Ended) {
        let endpoint = endpoint.map_or(4, |endpoint| endpoint as usize);
        self.requests[endpoint][ended as usize].inc();
    }

    /// Counts a request that is passed through, when it has ended.
    pub fn passed(&self, ended: Ended) {
        self.requests[5][ended as usize].inc();
    }

    /// Counts what was refused because there was no more of something.
    pub fn overloaded(&self, what: Scarce) {
        self.metrics.overloaded[what as usize].inc();
    }

    /// Counts a client that could not be met by TLS.
    pub fn handshake_failed(&self) {
        self.metrics.handshakes_failed.inc();
    }

    /// What one request took of Standin's own time.
    pub fn worked(&self, time: Duration) {
        self.metrics.overhead.observe(time.as_secs_f64());
    }

    /// Counts a reload.
    pub fn reloaded(&self, accepted: bool) {
        let counter = if accepted {
            &self.metrics.accepted
        } else {
            &self.metrics.rejected
        };
        counter.inc();
        self.metrics.is_accepted.set(i64::from(accepted));
    }

    /// Where a candidate's turn at a provider of this configuration is
    /// counted; without one the name is unknown.
    pub fn at(&self, model: &ModelName, provider: Option<&Provider>) -> At<'_> {
        let place = provider.and_then(|provider| {
            let is_its = |place: &&Place| place.provider == provider.index;
            let listed = self.models.get(model);
            listed
                .and_then(|places| places.iter().find(is_its))
                .or_else(|| self.others.get(provider.index))
        });
        At {
            counts: self,
            place: place.unwrap_or(&self.unknown),
        }
    }
}

/// The places of a listed name: one for each provider that has it.
fn places(config: &Config, name: &ModelName) -> Vec<Place> {
    let label: Arc<str> = name.as_str().into();
    let model = config.model(name);
    let targets = model.iter().flat_map(|model| &model.targets);
    let mut places: Vec<Place> = Vec::new();
    for target in targets {
        let provider = &target.provider;
        if places.iter().all(|place| place.provider != provider.index) {
            places.push(Place::new(&label, Some(provider)));
        }
    }
    places
}

impl Place {
    fn new(model: &Arc<str>, provider: Option<&Arc<Provider>>) -> Self {
        let name = provider.map_or(NONE, |provider| provider.name.as_str());
        Self {
            provider: provider.map_or(usize::MAX, |provider| provider.index),
            labels: [Arc::clone(model), name.into()],
            attempts: Default::default(),
            skips: Default::default(),
            answers: Default::default(),
            tokens: OnceLock::new(),
            costs: OnceLock::new(),
        }
    }

    /// Its labels, with one more.
    fn and<'p>(&'p self, third: &'p str) -> [&'p str; 3] {
        [&self.labels[0], &self.labels[1], third]
    }
}

/// Where a candidate's turn at a provider is counted.
#[derive(Clone, Copy, Debug)]
pub struct At<'c> {
    counts: &'c Counts,
    place: &'c Place,
}

impl At<'_> {
    /// Counts an attempt and how it ended: with nothing, an answer began and did
    /// not break off.
    pub fn attempted(self, outcome: Option<Outcome>) {
        let counter = &self.place.attempts[outcome.map_or(0, place_of)];
        let new = || {
            let labels = self.place.and(outcome.map_or("answered", Outcome::label));
            self.counts.metrics.attempts.with_label_values(&labels)
        };
        counter.get_or_init(new).inc();
    }

    /// Counts a candidate that failed on purpose: rare, so that its handle is
    /// looked up.
    pub fn drilled(self, outcome: Outcome) {
        let labels = self.place.and(outcome.label());
        let drills = &self.counts.metrics.drills;
        drills.with_label_values(&labels).inc();
    }

    /// Counts an answer of another candidate than this one, which was the
    /// first, and what became of it.
    pub fn failed_over(self, to: Self, reason: &'static str) {
        let labels = [&self.place.labels[0], &to.place.labels[0], reason];
        let failovers = &self.counts.metrics.failovers;
        failovers.with_label_values(&labels).inc();
    }

    /// Counts a candidate that was passed over.
    pub fn skipped(self, why: Skip) {
        let new = || {
            let labels = self.place.and(why.label());
            self.counts.metrics.skips.with_label_values(&labels)
        };
        self.place.skips[why as usize].get_or_init(new).inc();
    }

    /// Counts an answer that began, at its end.
    pub fn answered(self, answer: &Answered<'_>) {
        let answers = self.place.answers[answer.endpoint as usize]
            .get_or_init(|| Box::new(self.answers(answer.endpoint)));
        answers.duration.observe(answer.took.as_secs_f64());
        if let Some(first) = answer.first {
            answers.first.observe(first.as_secs_f64());
        }
        if let Some(per_token) = answer.per_token {
            answers.per_token.observe(per_token.as_secs_f64());
        }
        let used = &answer.tokens;
        answers.input.observe(float(used.input));
        answers.output.observe(float(used.output));
        let kinds = self.place.tokens.get_or_init(|| {
            let tokens = &self.counts.metrics.tokens;
            ["input", "cached", "output", "reasoning"]
                .map(|kind| tokens.with_label_values(&self.place.and(kind)))
        });
        let amounts = [used.input, used.cached, used.output, used.reasoning];
        for (kind, amount) in kinds.iter().zip(amounts) {
            kind.inc_by(amount);
        }
        if let Some(cost) = answer.cost {
            self.costs(answer.key, cost);
        }
    }

    fn costs(self, key: Option<&Arc<str>>, cost: Usd) {
        let keys = &self.counts.keys;
        let costs = self.place.costs.get_or_init(|| {
            let none = || OnceLock::new();
            std::iter::repeat_with(none).take(keys.len() + 1).collect()
        });
        let key = key.and_then(|key| keys.get_key_value(key));
        let (label, at) = key.map_or((NONE, 0), |(name, at)| (name, *at));
        let new = || {
            let labels = self.place.and(label);
            self.counts.metrics.cost.with_label_values(&labels)
        };
        if let Some(counter) = costs.get(at) {
            counter.get_or_init(new).inc_by(cost.to_f64());
        }
    }

    fn answers(self, endpoint: Endpoint) -> Answers {
        let [model, provider] = &self.place.labels;
        let (operation, metrics) = (operation(endpoint), &self.counts.metrics);
        let labels: [&str; 3] = [operation, provider, model];
        let usage = |kind| {
            let labels: [&str; 4] = [operation, provider, model, kind];
            metrics.usage.with_label_values(&labels)
        };
        Answers {
            duration: metrics.duration.with_label_values(&labels),
            first: metrics.first.with_label_values(&labels),
            per_token: metrics.per_token.with_label_values(&labels),
            input: usage("input"),
            output: usage("output"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no answer has 2⁵³ tokens")]
fn float(tokens: u64) -> f64 {
    tokens as f64
}
