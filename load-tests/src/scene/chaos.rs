//! Two providers that always fail and one that always answers.

use std::time::Duration;

use standin::mock::{At, Framing, Greeting, Reply, Script, roll};

use super::{REFUSED, Scene};
use crate::ask::{FAILING, WORDS, home, number};
use crate::modes::{MODE, Repertoire, WELL};

/// Each failing provider is configured under so many names: a refused key or a
/// refused connection holds for all of a provider's models, and there would
/// soon be nobody left to fail.
pub(crate) const HOMES: u64 = 64;

/// Short, because each silence lasts that long; long enough for the healthy
/// one on a busy machine.
const FAILOVER: &str = "failover:
  connect_timeout: 2s
  first_token_timeout: 2s
  answer_timeout: 2s
  idle_timeout: 2s
";

/// As forgetful as can be: whoever has failed is asked again at once.
const HEALTH: &str =
    "health: { failures: 100, failure_ratio: 1.0, cooldown: 1ms, max_cooldown: 1ms }
";

/// Of so many connections to a failing provider one is closed, one reset, and
/// of many more one never read.
const CLOSED: u64 = 64;
const IGNORED: u64 = 4096;

/// A healthy provider closes connections too.
const ANSWERS_PER_CONNECTION: u64 = 500;

/// With as little live state as there can be.
pub(super) fn scene(seed: u64) -> Scene {
    let homes = |provider: &str| match FAILING.contains(&provider) {
        true => (0..HOMES).map(|n| home(provider, HOMES, n)).collect(),
        false => vec![provider.to_owned()],
    };
    Scene {
        homes,
        ..Scene::new(providers(seed), config(&home("flaky", HOMES, 0)) + HEALTH)
    }
}

/// With live state as it is by default.
pub(super) fn scene_with_live_state(seed: u64) -> Scene {
    Scene::new(providers(seed), config("flaky"))
}

fn providers(seed: u64) -> Vec<(&'static str, Script)> {
    vec![
        ("shaky", failing(seed, "shaky")),
        ("flaky", failing(seed, "flaky")),
        ("steady", steady(seed)),
    ]
}

fn config(second_home: &str) -> String {
    format!(
        "models:\n  house/moved:\n    targets:\n      \
         - {{ provider: {REFUSED}, upstream_model: m }}\n      \
         - {{ provider: {second_home}, upstream_model: m }}\n{FAILOVER}"
    )
}

/// What it does is drawn by the request's number, not by the order in which
/// requests happen to come.
fn failing(seed: u64, name: &'static str) -> Script {
    let repertoire = Repertoire::new(seed, name);
    let greetings = roll(seed, name.len() as u64);
    Script::at_head(move |seen| {
        let number = seen.test_id().and_then(number).unwrap_or(0);
        match repertoire.draw(seed, number) {
            Some((mode, reply)) => reply.clone().header(MODE, mode),
            None => Reply::internal_error(),
        }
    })
    .greet(move |connection| {
        let dice = roll(greetings, connection);
        match (dice % CLOSED, dice % IGNORED) {
            (_, 5) => Greeting::Ignore,
            (0, _) => Greeting::Close,
            (1, _) => Greeting::Reset,
            _ => Greeting::Serve,
        }
    })
    .remember(0)
}

/// Answers in each of the ways in which answers come.
pub(super) fn steady(seed: u64) -> Script {
    let answer = || Reply::answer(WORDS).echo().header(MODE, WELL);
    Script::at_head(move |seen| {
        let number = seen.test_id().and_then(number).unwrap_or(0);
        match roll(seed, number) >> 24 & 31 {
            0 => answer().framing(Framing::ChunkedBy(7)),
            1 => answer().framing(Framing::UntilClose),
            2 => answer().opening(": welcome\n\n"),
            3 => answer().wait(At::Event(2), Duration::from_millis(20)),
            4 => answer().between(Duration::from_millis(2)),
            5 => answer().after(Duration::from_millis(20)),
            6 => answer().trickle(50, Duration::from_millis(1)),
            7 => answer().framing(Framing::Length),
            8 => answer().close(),
            _ => answer(),
        }
    })
    .close_after(ANSWERS_PER_CONNECTION)
    .remember(0)
}
