//! One run: requests, weather, reloads, jumps of the clock.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, advance, sleep};

use super::account::{Account, Doom, Journey};
use super::chance::Chance;
use super::mood::Mood;
use super::world::{Book, House, Visitor, Way, World};
use crate::base::{Endpoint, ModelName};
use crate::config::{self, Config, Nothing, Target};
use crate::health::{Board, Phase, State};
use crate::journey::tests::fakes::Guest;
use crate::journey::tests::journey::{ms, seconds};
use crate::journey::{Ask, End, Means, run};
use crate::outcome::Effect;
use crate::wire::drill::Drill;

const PROVIDERS: [&str; 3] = ["p0", "p1", "p2"];
/// The last two are only in a configuration sometimes, or never.
const MODELS: [&str; 4] = ["u0", "u1", "u2", "u3"];

/// How candidates fail on purpose.
const DRILLS: [Drill; 7] = [
    Drill::Connect,
    Drill::Reset,
    Drill::Timeout,
    Drill::BadAnswer,
    Drill::Status(401),
    Drill::Status(429),
    Drill::Status(500),
];

/// What stays the same over a run's reloads.
struct Terms {
    failures: u64,
    cooldown: u64,
    max_cooldown: u64,
}

/// What a reload may change.
#[derive(Default)]
struct Edition {
    /// By provider.
    keys: [u32; 3],
    has_u2: bool,
}

impl Terms {
    fn yaml(&self, edition: &Edition) -> String {
        let mut yaml = "providers:\n".to_owned();
        for (name, key) in PROVIDERS.iter().zip(edition.keys) {
            let _ = writeln!(
                yaml,
                "  {name}: {{ base_url: \"http://{name}.test/v1\", api_key: \"k{key}\" }}"
            );
        }
        yaml += "models:\n";
        let own = if edition.has_u2 { 3 } else { 2 };
        for provider in PROVIDERS {
            for model in &MODELS[..own] {
                let _ = writeln!(yaml, "  {provider}/{model}: {{}}");
            }
        }
        yaml += "  house/two: { targets: [ { provider: p0, upstream_model: u0 }, { provider: p1, upstream_model: u0 } ] }
  house/three: { targets: [ { provider: p2, upstream_model: u1 }, { provider: p0, upstream_model: u1 }, { provider: p1, upstream_model: u1 } ] }
  house/far: { targets: [ { provider: p1, upstream_model: u3 }, { provider: p2, upstream_model: u0 } ] }
failover: { connect_timeout: 500ms, first_token_timeout: 3s, answer_timeout: 4s, idle_timeout: 3s, total_timeout: 60s }\n";
        let _ = writeln!(
            yaml,
            "health: {{ failures: {}, cooldown: {}s, max_cooldown: {}s }}",
            self.failures, self.cooldown, self.max_cooldown
        );
        yaml
    }

    fn config(&self, edition: &Edition) -> Config {
        match config::load("sim.yaml", self.yaml(edition).as_bytes(), &Nothing) {
            Ok(config) => config,
            Err(problems) => panic!("{problems}"),
        }
    }
}

/// A run under way.
pub(super) struct Drive {
    chance: Chance,
    terms: Terms,
    edition: Edition,
    world: Arc<World>,
    house: Arc<House>,
    doom: Doom,
    tasks: JoinSet<()>,
    aborts: Vec<AbortHandle>,
    journeys: Arc<Mutex<Vec<Journey>>>,
}

/// Everything that one seed brings about. Gives the run's account.
pub(super) async fn drive(seed: u64) -> Account {
    let mut chance = Chance::new(seed);
    let cooldown = chance.between(1, 5);
    let terms = Terms {
        failures: chance.between(1, 6),
        cooldown,
        max_cooldown: cooldown * chance.between(1, 12),
    };
    let edition = Edition {
        has_u2: chance.percent(50),
        ..Edition::default()
    };
    let config = terms.config(&edition);
    let board = Board::new(&config, None, Instant::now().into_std());
    let doom = doom(&mut chance, &terms);
    let world = World::new(Chance::new(chance.bits()));
    world.book(|book| book.set_mood(&doom.of, doom.mood));
    let drive = Drive {
        chance,
        terms,
        edition,
        world: Arc::new(world),
        house: Arc::new(House { config, board }),
        doom,
        tasks: JoinSet::new(),
        aborts: Vec::new(),
        journeys: Arc::default(),
    };
    drive.on().await
}

/// Something that is dead for the whole run.
fn doom(chance: &mut Chance, terms: &Terms) -> Doom {
    let provider = chance.of(&PROVIDERS);
    let model = chance.of(&MODELS);
    let endpoint = chance.of(&Endpoint::ALL);
    let (mood, effect) = chance.of(&[
        (Mood::BadKey(401), Effect::Credential),
        (Mood::Busy(None), Effect::Target),
        (Mood::Empty, Effect::Target),
        (Mood::HangsUp, Effect::Provider),
        (Mood::Limited(None), Effect::RateLimit),
        (Mood::Missing(endpoint), Effect::Endpoint),
        (Mood::Refuses, Effect::Provider),
        (Mood::Silent, Effect::Target),
    ]);
    let is_provider_s = matches!(effect, Effect::Credential | Effect::Provider);
    let needs_many = matches!(effect, Effect::Provider | Effect::Target);
    Doom {
        of: if is_provider_s {
            provider.to_owned()
        } else {
            format!("{provider}/{model}")
        },
        provider,
        model: (!is_provider_s).then_some(model),
        endpoint: (effect == Effect::Endpoint).then_some(endpoint),
        mood,
        effect,
        failures: if needs_many { terms.failures } else { 1 },
        cooldown: seconds(terms.cooldown),
        max_cooldown: seconds(terms.max_cooldown),
        mended: 0,
    }
}

impl Drive {
    async fn on(mut self) -> Account {
        for _ in 0..self.chance.between(15, 40) {
            match self.chance.between(0, 99) {
                0..55 => {
                    for _ in 0..self.chance.between(1, 4) {
                        self.asks();
                    }
                }
                55..60 => self.crowd(),
                60..75 => self.weather(),
                75..82 => sleep(ms(self.chance.between(0, 20_000))).await,
                82..87 => {
                    // Whoever is on the way is late then, through no fault.
                    self.world.book(Book::harms_all_under_way);
                    advance(ms(self.chance.between(0, 60_000))).await;
                }
                87..93 => self.reload(),
                _ => self.drops_one(),
            }
            sleep(ms(self.chance.between(0, 1500))).await;
            self.looks();
        }
        while self.tasks.join_next().await.is_some() {}
        self.is_quiet();
        let mut account = Account {
            doom: self.doom.clone(),
            lasted: self.world.now(),
            seen: self.world.book(|book| std::mem::take(&mut book.seen)),
            harmed: self
                .world
                .book(|book| book.harmed.keys().cloned().collect()),
            journeys: std::mem::take(&mut *self.journeys.lock().unwrap()),
            ..Account::default()
        };
        account.check(&self.world);
        self.heals().await;
        account
    }

    fn names(&mut self) -> Vec<String> {
        let many = self.chance.between(1, 4);
        let name = |chance: &mut Chance| match chance.between(0, 9) {
            0 => "nobody/knows".to_owned(),
            1 => format!("{}/made-up-{}", chance.of(&PROVIDERS), chance.between(0, 9)),
            2 => chance
                .of(&["house/two", "house/three", "house/far"])
                .to_owned(),
            _ => format!("{}/{}", chance.of(&PROVIDERS), chance.of(&MODELS)),
        };
        let mut names: Vec<_> = (0..many).map(|_| name(&mut self.chance)).collect();
        if self.chance.percent(40) {
            // Whoever is doomed is to be asked.
            let model = self.doom.model.unwrap_or("u0");
            names.insert(0, format!("{}/{model}", self.doom.provider));
        }
        names
    }

    fn asks(&mut self) {
        let names = self.names();
        let endpoint = match self.doom.endpoint {
            Some(endpoint) if self.chance.percent(50) => endpoint,
            Some(_) | None if self.chance.percent(60) => Endpoint::Chat,
            Some(_) | None => self.chance.of(&Endpoint::ALL),
        };
        self.asks_for(&names, endpoint, 20);
    }

    /// Many at once with the same list.
    fn crowd(&mut self) {
        let names = self.names();
        for _ in 0..self.chance.between(10, 30) {
            self.asks_for(&names, self.doom.endpoint.unwrap_or(Endpoint::Chat), 5);
        }
    }

    /// So many of a hundred have candidates that fail on purpose.
    fn asks_for(&mut self, names: &[String], endpoint: Endpoint, drills: u64) {
        let stream = endpoint == Endpoint::Chat && self.chance.percent(60);
        let leaves = self.chance.percent(15);
        let leaves = leaves.then(|| ms(self.chance.between(0, 5000)));
        let pace = if self.chance.percent(5) {
            ms(700)
        } else {
            Duration::ZERO
        };
        let body = json!({"models": names, "messages": [], "stream": stream});
        let ask = Ask::read(
            endpoint,
            HeaderValue::from_static("id"),
            &HeaderMap::new(),
            body.to_string().into(),
            &self.house.config,
        );
        let mut ask = ask.unwrap();
        if self.chance.percent(drills) {
            for candidate in &mut ask.candidates {
                let drill = self.chance.of(&DRILLS);
                candidate.drill = self.chance.percent(50).then_some(drill);
            }
        }
        let number = {
            let mut journeys = self.journeys.lock().unwrap();
            journeys.push(Journey::of(&ask));
            journeys.len() - 1
        };
        let way = Way {
            world: Arc::clone(&self.world),
            house: Arc::clone(&self.house),
            journey: number,
            endpoint,
            stream,
        };
        let visitor = Visitor {
            guest: Guest::new(leaves, pace).0,
            world: Arc::clone(&self.world),
            journey: number,
        };
        let (journeys, dice) = (Arc::clone(&self.journeys), self.chance.bits());
        let abort = self.tasks.spawn(async move {
            let means = Means {
                config: &way.house.config,
                board: &way.house.board,
                out: &way,
                ledger: None,
                dice,
            };
            let receipt = run(&ask, &means, None, visitor).await.ok();
            let journey = &mut journeys.lock().unwrap()[number];
            journey.is_over = true;
            journey.receipt = receipt;
        });
        self.aborts.push(abort);
    }

    fn weather(&mut self) {
        let (of, mood) = if self.chance.percent(25) {
            let provider = self.chance.of(&PROVIDERS).to_owned();
            (provider, Mood::of_provider(&mut self.chance))
        } else {
            let provider = self.chance.of(&PROVIDERS);
            let name = format!("{provider}/{}", self.chance.of(&MODELS));
            (name, Mood::of_target(&mut self.chance))
        };
        // What is doomed stays so, and its provider lets everyone see it.
        if of != self.doom.of && of != self.doom.provider {
            self.world.book(|book| book.set_mood(&of, mood));
        }
    }

    fn reload(&mut self) {
        let before = self.every_target().map(|t| self.house.board.glance(&t));
        let before: Vec<_> = before.collect();
        let mended = self.chance.percent(30).then(|| self.chance.of(&[0, 1, 2]));
        if let Some(provider) = mended {
            self.edition.keys[provider] += 1;
            self.doom.mended += u32::from(PROVIDERS[provider] == self.doom.provider);
        }
        let stays = self.doom.model == Some("u2") || self.chance.percent(50);
        self.edition.has_u2 ^= !stays;
        let config = self.terms.config(&self.edition);
        let now = Instant::now().into_std();
        let board = Board::new(&config, Some(&self.house.board), now);
        self.house = Arc::new(House { config, board });
        for (target, before) in self.every_target().zip(before) {
            let mut after = self.house.board.glance(&target);
            if mended.is_some_and(|mended| target.provider.name.as_str() == PROVIDERS[mended]) {
                // Due at once, and of another generation: the rest stays.
                let same = |after: &mut State, before: State| {
                    after.until = before.until;
                    after.generation = before.generation;
                };
                same(&mut after.credential, before.credential);
                for (after, before) in after.endpoints.iter_mut().zip(before.endpoints) {
                    same(after, before);
                }
            }
            let is_kept = target.index.is_some() || before.whole.phase != Phase::Healthy;
            if is_kept {
                assert_eq!(after, before, "{} after a reload", target.upstream_model);
            }
        }
    }

    /// Whoever waits for a request gives up: its future is dropped.
    fn drops_one(&mut self) {
        self.aborts.retain(|abort| !abort.is_finished());
        if !self.aborts.is_empty() {
            let which = self.chance.bits() as usize % self.aborts.len();
            self.aborts.swap_remove(which).abort();
        }
    }

    fn every_target(&self) -> impl Iterator<Item = Arc<Target>> {
        let names = PROVIDERS.iter().flat_map(|provider| {
            let model = move |model: &&str| format!("{provider}/{model}");
            MODELS.iter().map(model)
        });
        let house = Arc::clone(&self.house);
        names.map(move |name| {
            let model = house.config.model(&ModelName::from(&*name)).unwrap();
            Arc::clone(&model.targets[0])
        })
    }

    /// What holds at any moment.
    fn looks(&self) {
        let now = self.house.board.moment(Instant::now().into_std());
        let longest = seconds(self.terms.max_cooldown).max(super::mood::LONGEST);
        let own = seconds(self.terms.max_cooldown);
        for target in self.every_target() {
            let glance = self.house.board.glance(&target);
            let jittered = |wait: Duration| wait + (wait / 16).min(seconds(2)) + ms(2);
            for word in [glance.connection, glance.credential]
                .into_iter()
                .chain(glance.endpoints)
            {
                assert!(word.until.from(now) <= jittered(own), "{word:?} at {now:?}");
            }
            let wait = glance.whole.until.from(now);
            assert!(wait <= jittered(longest), "{:?} at {now:?}", glance.whole);
            assert!(glance.last_resorts <= 8, "{glance:?}");
        }
    }

    /// Nobody is on the way, so nothing is held.
    fn is_quiet(&self) {
        for target in self.every_target() {
            let glance = self.house.board.glance(&target);
            let is_probed = Endpoint::ALL
                .into_iter()
                .flat_map(|endpoint| glance.words(endpoint))
                .any(|word| word.probed);
            assert!(
                !is_probed && glance.last_resorts == 0 && glance.counted == 0,
                "{}/{} is still held: {glance:?}",
                target.provider.name,
                target.upstream_model
            );
        }
    }

    /// All is well again, and one request each finds it out.
    async fn heals(mut self) {
        self.world.book(|book| book.moods.clear());
        advance(seconds(600)).await;
        let names: Vec<String> = self
            .every_target()
            .map(|target| format!("{}/{}", target.provider.name, target.upstream_model))
            .collect();
        for name in names {
            for endpoint in Endpoint::ALL {
                let first = self.journeys.lock().unwrap().len();
                while {
                    self.journeys.lock().unwrap().truncate(first);
                    self.asks_for(std::slice::from_ref(&name), endpoint, 0);
                    while self.tasks.join_next().await.is_some() {}
                    let journeys = self.journeys.lock().unwrap();
                    let receipt = journeys[first].receipt.as_ref().unwrap();
                    let walk = receipt.trail.header();
                    assert!(!walk.to_str().unwrap().contains("skipped"), "{walk:?}");
                    receipt.end == End::ClientGone
                } {}
            }
        }
        for target in self.every_target() {
            let glance = self.house.board.glance(&target);
            for endpoint in Endpoint::ALL {
                for word in glance.words(endpoint) {
                    let counts = (word.failures, word.cuts, word.level);
                    assert_eq!((word.phase, counts), (Phase::Healthy, (0, 0, 0)));
                }
            }
        }
    }
}
