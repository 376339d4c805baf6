//! What must have been so, read from the book of a whole run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::mood::Mood;
use super::world::{Seen, Told, World};
use crate::base::Endpoint;
use crate::health::Phase;
use crate::journey::{Ask, End, Entry, Receipt, Tried};
use crate::outcome::{Effect, Outcome, Skip};

/// Something that is dead for a whole run.
#[derive(Clone, Debug)]
pub(super) struct Doom {
    /// Whose mood it is: `provider` or `provider/model`.
    pub of: String,
    pub provider: &'static str,
    /// All of the provider's, where there is none.
    pub model: Option<&'static str>,
    /// All of them, where there is none.
    pub endpoint: Option<Endpoint>,
    pub mood: Mood,
    pub effect: Effect,
    /// Failures until it is known.
    pub failures: u64,
    pub cooldown: Duration,
    pub max_cooldown: Duration,
    /// How often its provider was given another credential.
    pub mended: u32,
}

/// One request.
#[derive(Debug)]
pub(super) struct Journey {
    /// Each candidate's name, and where it is sent.
    candidates: Vec<(String, Vec<String>)>,
    /// It came to its end, and no panic or drop to it.
    pub is_over: bool,
    /// Nothing where no name was known.
    pub receipt: Option<Receipt>,
}

impl Journey {
    pub(super) fn of(ask: &Ask) -> Self {
        let candidates = ask.candidates.iter().map(|candidate| {
            let targets = candidate.model.iter().flat_map(|model| &model.targets);
            let name = |t: &std::sync::Arc<crate::config::Target>| {
                format!("{}/{}", t.provider.name, t.upstream_model)
            };
            (candidate.name.to_string(), targets.map(name).collect())
        });
        Self {
            candidates: candidates.collect(),
            is_over: false,
            receipt: None,
        }
    }
}

/// A run's book, and how often what the run is about came to pass.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub doom: Doom,
    pub lasted: Duration,
    pub seen: Vec<Seen>,
    pub harmed: HashSet<String>,
    pub journeys: Vec<Journey>,
    pub probes: usize,
    pub recalls: usize,
    pub last_resorts: usize,
    pub unfinished: usize,
    pub doomed: usize,
    pub drills: usize,
}

impl Default for Doom {
    fn default() -> Self {
        Self {
            of: String::new(),
            provider: "",
            model: None,
            endpoint: None,
            mood: Mood::Fine,
            effect: Effect::None,
            failures: 0,
            cooldown: Duration::ZERO,
            max_cooldown: Duration::ZERO,
            mended: 0,
        }
    }
}

impl Seen {
    fn target(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// Whether both are for the same target.
    fn is_for(&self, other: &Self) -> bool {
        self.model == other.model && self.provider == other.provider
    }

    /// Whether it went out before anything was known against it or as a
    /// probe. Of one without a trail this is a guess on the safe side.
    fn is_first_pass(&self) -> bool {
        match self.tried {
            Some(tried) => !tried.is_last_resort,
            None => self.glance.last_resorts == 0,
        }
    }

    /// When it had its verdict, or gave its place back.
    fn decided(&self) -> usize {
        let ended = self.ended.unwrap_or(usize::MAX);
        ended.min(self.said.unwrap_or(usize::MAX))
    }

    /// Whose word each of the four is.
    fn owners(&self) -> [String; 4] {
        let target = self.target();
        let endpoint = format!("{target} on {}", self.endpoint.path());
        [
            format!("connection {}", self.provider),
            format!("credential {}", self.provider),
            target,
            endpoint,
        ]
    }
}

impl Account {
    pub(super) fn check(&mut self, world: &World) {
        for number in 0..self.journeys.len() {
            self.trail_is_what_was_seen(number);
            self.list_is_walked(number);
        }
        self.unfinished = self.journeys.iter().filter(|j| !j.is_over).count();
        self.one_probe_at_a_time();
        self.eight_last_resorts_at_a_time();
        self.told_times_are_kept(world);
        self.doomed_are_left_alone();
    }

    /// Attempts in the trail are those that the world saw, in their order.
    fn trail_is_what_was_seen(&mut self, number: usize) {
        let Some(receipt) = &self.journeys[number].receipt else {
            return;
        };
        let mut seen = self.seen.iter_mut().filter(|seen| seen.journey == number);
        let mut next = seen.next();
        for tried in receipt.trail.tried() {
            let target = name(tried);
            if tried.is_drill {
                self.drills += 1;
                continue;
            }
            match &mut next {
                Some(one) if one.target() == target => {
                    one.tried = Some(Told {
                        is_last_resort: tried.pass.is_last_resort,
                        outcome: tried.outcome,
                        wait: tried.until,
                    });
                    next = seen.next();
                }
                // The client had left before a connection was asked for.
                _ if tried.outcome == Some(Outcome::ClientGone) => {}
                _ => {
                    let is_recall = tried.pass.is_last_resort && tried.took.is_zero();
                    assert!(is_recall, "{target} was not tried: {}", walk(receipt));
                    self.recalls += 1;
                }
            }
        }
        let left = next.map(|seen| seen.target());
        assert_eq!(left, None, "is not in the trail: {}", walk(receipt));
    }

    /// Each target gets one turn, is skipped only for a reason, and has been
    /// tried when the request fails.
    fn list_is_walked(&self, number: usize) {
        let journey = &self.journeys[number];
        let Some(receipt) = &journey.receipt else {
            return;
        };
        let mut skipped: Vec<(String, String)> = Vec::new();
        let mut first: Vec<(String, String)> = Vec::new();
        let mut last: Vec<(String, String)> = Vec::new();
        for entry in receipt.trail.entries() {
            match entry {
                Entry::Skipped(_, None, why) => assert_eq!(*why, Skip::Unknown),
                Entry::Skipped(candidate, Some(target), _) => {
                    let provider = target.provider.name.as_str();
                    let target = format!("{provider}/{}", target.upstream_model);
                    let is_harmed = self.harmed.contains(provider) || self.harmed.contains(&target);
                    assert!(is_harmed, "{target} did nothing: {}", walk(receipt));
                    assert!(last.is_empty(), "{}", walk(receipt));
                    first.push((candidate.to_string(), target.clone()));
                    skipped.push((candidate.to_string(), target));
                }
                Entry::Tried(tried) => {
                    let turn = (tried.pass.candidate.to_string(), name(tried));
                    if tried.pass.is_last_resort {
                        last.push(turn);
                    } else {
                        assert!(last.is_empty(), "{}", walk(receipt));
                        first.push(turn);
                    }
                }
            }
        }
        let planned: Vec<(String, String)> = journey
            .candidates
            .iter()
            .flat_map(|(name, targets)| targets.iter().map(|t| (name.clone(), t.clone())))
            .collect();
        assert!(planned.starts_with(&first), "{}", walk(receipt));
        assert!(skipped.starts_with(&last), "{}", walk(receipt));
        if receipt.end == End::Failed {
            assert_eq!((&first, &last), (&planned, &skipped), "{}", walk(receipt));
        }
    }

    /// Who goes out in the first round is a probe wherever not all is well,
    /// its moment has come, and it is alone.
    fn one_probe_at_a_time(&mut self) {
        let mut probes: HashMap<String, Vec<&Seen>> = HashMap::new();
        for seen in &self.seen {
            if !seen.is_first_pass() {
                self.last_resorts += 1;
                continue;
            }
            let words = seen.glance.words(seen.endpoint);
            for (owner, word) in seen.owners().into_iter().zip(words) {
                if word.phase != Phase::Healthy {
                    let is_due = word.probed && word.until <= seen.moment;
                    assert!(is_due, "{owner} was asked at {:?}: {word:?}", seen.moment);
                    probes.entry(owner).or_default().push(seen);
                }
            }
        }
        for (owner, mut spans) in probes {
            self.probes += spans.len();
            spans.sort_unstable_by_key(|seen| seen.began);
            for pair in spans.windows(2) {
                // The last of a list may go on for longer than a probe may.
                let is_over_time = pair[1].at >= pair[0].at + pair[0].longest_probe;
                let is_alone = pair[0].decided() < pair[1].began || is_over_time;
                assert!(is_alone, "two probes at once: {owner} at {:?}", pair[1].at);
            }
        }
    }

    fn eight_last_resorts_at_a_time(&self) {
        let of_last = |seen: &&Seen| seen.tried.is_some_and(|tried| tried.is_last_resort);
        let last: Vec<&Seen> = self.seen.iter().filter(of_last).collect();
        for one in &last {
            let is_back = one
                .glance
                .words(one.endpoint)
                .iter()
                .all(|word| word.phase == Phase::Healthy);
            let at_once = last.iter().filter(|other| {
                other.is_for(one)
                    && other.began <= one.began
                    && other.ended.is_none_or(|ended| ended > one.began)
            });
            let many = at_once.count();
            assert!(
                is_back || many <= 8,
                "{many} last resorts at {}",
                one.target()
            );
        }
    }

    /// Nobody is asked in the first round before the time that it said itself,
    /// unless it has answered since.
    fn told_times_are_kept(&self, world: &World) {
        for teller in &self.seen {
            let Some(wait) = teller.tried.and_then(|tried| tried.wait) else {
                continue;
            };
            let until = world.since(wait);
            let target = teller.target();
            let same = |seen: &&Seen| seen.tried.is_some() && seen.is_for(teller);
            for seen in self.seen.iter().filter(same) {
                let is_early = teller.ended < Some(seen.began) && seen.at < until;
                let answered = |other: &Seen| {
                    let is_answer = |tried: Told| tried.is_last_resort && tried.outcome.is_none();
                    other.is_for(teller)
                        && other.tried.is_some_and(is_answer)
                        && other.said.is_some_and(|said| Some(said) > teller.ended)
                        && other.said < Some(seen.began)
                };
                assert!(
                    !is_early || !seen.is_first_pass() || self.seen.iter().any(answered),
                    "{target} was asked at {:?}, and had said until {until:?}",
                    seen.at
                );
            }
        }
    }

    /// The bound: what it takes to know, those on their way at that time, one
    /// for each period since, and those that came back with nothing to tell.
    /// Last resorts are outside of it.
    fn doomed_are_left_alone(&mut self) {
        let doom = &self.doom;
        let asked: Vec<&Seen> = self
            .seen
            .iter()
            .filter(|seen| {
                seen.is_first_pass()
                    && seen.provider == doom.provider
                    && doom.model.is_none_or(|model| seen.model == model)
                    && doom
                        .endpoint
                        .is_none_or(|endpoint| seen.endpoint == endpoint)
            })
            .collect();
        let reports = |seen: &&&Seen| {
            let outcome = seen.tried.and_then(|tried| tried.outcome);
            outcome.is_some_and(|outcome| outcome.effect() == doom.effect)
        };
        let mut reported: Vec<&Seen> = asked.iter().filter(reports).copied().collect();
        reported.sort_unstable_by_key(|seen| seen.ended);
        let untold = asked.len() - reported.len();
        let needed = usize::try_from(doom.failures).unwrap();
        let known = reported.get(needed - 1);
        let bound = untold
            + match known {
                None => reported.len(),
                Some(last) => {
                    let in_flight = reported
                        .iter()
                        .filter(|seen| seen.ended > last.ended && Some(seen.began) < last.ended);
                    let since = self.lasted.saturating_sub(last.ended_at);
                    let mended = usize::try_from(doom.mended).unwrap();
                    needed + in_flight.count() + doom.periods(since) + mended
                }
            };
        assert!(
            asked.len() <= bound,
            "{} attempts at {doom:?}, and {bound} are allowed in {:?}",
            asked.len(),
            self.lasted
        );
        self.doomed = asked.len();
    }
}

impl Doom {
    /// How many periods end within this time, each twice as long as the one
    /// before and none longer than the longest.
    fn periods(&self, within: Duration) -> usize {
        let (mut period, mut end, mut many) = (self.cooldown, self.cooldown, 0);
        while end <= within {
            many += 1;
            period = (period * 2).min(self.max_cooldown);
            end += period;
        }
        many
    }
}

fn name(tried: &Tried) -> String {
    let target = &tried.pass.target;
    format!("{}/{}", target.provider.name, target.upstream_model)
}

fn walk(receipt: &Receipt) -> String {
    receipt.trail.header().to_str().unwrap_or("").to_owned()
}
