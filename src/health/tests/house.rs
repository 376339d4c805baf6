//! What the tests of live state share: a configuration of a few targets, a
//! board of it, and chance by a seed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::{Endpoint, ModelName};
use crate::config::{self, Config, Health, Nothing, Target};
use crate::health::{Board, Failed, Moment, Rules, Wish};
use crate::outcome::{Blame, Outcome};
use crate::wire::{Left, Quota};

/// Two providers; two models of the first are configured.
pub(super) const FILE: &str = "
health: { failures: 3, failure_ratio: 0.5, cooldown: 1s, max_cooldown: 8s }
default_provider: a
providers:
  a: { base_url: 'http://a/v1', api_key: one }
  b: { base_url: 'http://b/v1', api_key: two }
models:
  x: { provider: a, upstream_model: x }
  y: { provider: a, upstream_model: y }
  z: { provider: b, upstream_model: z }
";

/// What `FILE` says of health.
pub(super) fn rules() -> Rules {
    Rules::new(Health {
        failures: 3,
        failure_ratio: 0.5,
        cooldown: Duration::from_secs(1),
        max_cooldown: Duration::from_secs(8),
    })
}

/// What a configuration's text means.
pub(super) fn read(text: &str) -> Config {
    config::load("t.yaml", text.as_bytes(), &Nothing).unwrap()
}

/// A configuration and what is remembered under it.
pub(super) struct House {
    pub(super) config: Config,
    pub(super) board: Board,
    started: Instant,
}

impl House {
    /// With an empty memory.
    pub(super) fn new(text: &str) -> Self {
        let started = tokio::time::Instant::now().into_std();
        let config = read(text);
        let board = Board::new(&config, None, started);
        Self {
            config,
            board,
            started,
        }
    }

    /// The same after a reload at a moment.
    pub(super) fn reloaded(&self, text: &str, ms: u64) -> Self {
        let config = read(text);
        let now = self.started + Duration::from_millis(ms);
        let board = Board::new(&config, Some(&self.board), now);
        Self {
            config,
            board,
            started: self.started,
        }
    }

    /// The first target of what a client names.
    pub(super) fn target(&self, name: &str) -> Arc<Target> {
        let model = self.config.model(&ModelName::from(name)).unwrap();
        Arc::clone(&model.targets[0])
    }

    /// Admits a request and lets it end in this way.
    ///
    /// # Panics
    /// Where it is not admitted.
    pub(super) fn fails(&self, name: &str, outcome: Outcome, ms: u64) {
        let target = self.target(name);
        let admission = self.board.admit(wish(&target, ms), || 1);
        admission.unwrap().failed(failure(outcome), at(ms));
    }

    /// Admits a request and has it answered to the end.
    ///
    /// # Panics
    /// Where it is not admitted.
    pub(super) fn answers(&self, name: &str, ms: u64) {
        let target = self.target(name);
        let mut admission = self.board.admit(wish(&target, ms), || 1).unwrap();
        admission.said(at(ms));
        admission.finished(at(ms));
    }

    /// What a request is told: `pass`, `probe`, or why it is passed over. It
    /// is sent nowhere.
    pub(super) fn asks(&self, name: &str, ms: u64) -> &'static str {
        self.asks_on(name, Endpoint::Chat, ms)
    }

    /// The same for one endpoint.
    pub(super) fn asks_on(&self, name: &str, endpoint: Endpoint, ms: u64) -> &'static str {
        let target = self.target(name);
        let wish = Wish {
            endpoint,
            ..wish(&target, ms)
        };
        match self.board.admit(wish, || 1) {
            Ok(admission) if admission.is_probe() => "probe",
            Ok(_) => "pass",
            Err(refused) => refused.why.label(),
        }
    }
}

/// A chat request to a target, without jitter.
pub(super) fn wish(target: &Target, ms: u64) -> Wish<'_> {
    Wish {
        target,
        endpoint: Endpoint::Chat,
        now: at(ms),
        dice: 0,
    }
}

pub(super) fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

/// A failure about which nothing more is said.
pub(super) fn failure(outcome: Outcome) -> Failed {
    Failed {
        outcome,
        status: None,
        wait: None,
    }
}

/// A 429 that says how long.
pub(super) fn limited_for(wait: Duration) -> Failed {
    Failed {
        status: Some(429),
        wait: Some(wait),
        ..failure(Outcome::RateLimited(Blame::Target))
    }
}

/// What a head reports, with the time until the window ends.
pub(super) fn quota(requests: Option<(u64, u64)>, tokens: Option<(u64, u64)>) -> Quota {
    let left = |(remaining, ms)| Left {
        remaining,
        reset: Some(Duration::from_millis(ms)),
    };
    Quota {
        requests: requests.map(left),
        tokens: tokens.map(left),
    }
}

/// Chance by a seed: splitmix64.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}
