//! Every way in which a request, an attempt or a skip can end, over and over,
//! for whoever watches from outside: one model for each.

use std::time::Duration;

use standin::mock::{At, Reply, Script, Usage};

use super::Scene;

/// Short rests, so that everything keeps happening.
const CONFIG: &str = "models:
  east/endless: {}
  east/quota: {}
  north/barred: {}
  north/big: {}
  north/broken: {}
  north/busy: { fallbacks: [south/good] }
  north/down: {}
  north/empty: {}
  north/filtered: {}
  north/gone: {}
  north/late: {}
  north/limited: {}
  north/odd: {}
  north/reset: {}
  north/torn: {}
  refused/m: {}
  shut/m: {}
  south/good: { price: { input: 2.50, cached_input: 1.25, output: 10.00 } }
  south/other: { price: { input: 0.15, output: 0.60 } }
failover: { connect_timeout: 1s, first_token_timeout: 500ms, answer_timeout: 500ms }
health: { failures: 3, cooldown: 500ms, max_cooldown: 1s }
";

pub(super) fn scene() -> Scene {
    let providers = vec![
        ("north", north()),
        ("south", south()),
        ("east", east()),
        ("shut", Reply::auth().into()),
    ];
    Scene::new(providers, CONFIG)
}

/// Fails.
fn north() -> Script {
    Script::by_model([
        ("barred", Script::from(Reply::forbidden())),
        ("big", Reply::context_length().into()),
        ("broken", Reply::internal_error().into()),
        ("busy", Reply::rate_limited(Some("2")).into()),
        ("down", Reply::unavailable().into()),
        ("empty", Reply::empty().into()),
        ("filtered", Reply::moderated().into()),
        ("gone", Reply::model_not_found().into()),
        ("late", Reply::answer("never").stall(At::Start).into()),
        ("limited", limited()),
        ("odd", Reply::rejected().into()),
        ("reset", Reply::answer("never").reset(At::Start).into()),
        ("torn", Reply::answer(WORDS).cut(At::Event(4)).into()),
    ])
}

const WORDS: &str = "one two three four five six seven";

/// Limited every other time; the probe in between takes long enough for others
/// to be passed over meanwhile.
fn limited() -> Script {
    let refusal = Reply::rate_limited(Some("0.3"));
    let probed = Reply::answer(WORDS).after(Duration::from_millis(300));
    Script::random(1, [(2, refusal), (1, probed)])
}

/// Answers, and says what is left of its quota.
fn south() -> Script {
    let answer = |left: &str| {
        let usage = Usage {
            input: 900,
            cached: 300,
            output: 70,
            reasoning: 20,
        };
        Reply::answer(WORDS)
            .usage(usage)
            .after(Duration::from_millis(15))
            .between(Duration::from_millis(5))
            .header("x-ratelimit-remaining-requests", left)
            .header("x-ratelimit-reset-requests", "300s")
            .header("x-ratelimit-remaining-tokens", format!("{left}000"))
            .header("x-ratelimit-reset-tokens", "300s")
    };
    let falling = (1..=90).rev().map(|left| answer(&left.to_string()));
    Script::by_model([
        ("good", Script::sequence(falling)),
        ("other", answer("400").into()),
    ])
}

/// Is left by its clients, or has no quota left.
fn east() -> Script {
    let spent = Reply::answer(WORDS)
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "1s");
    Script::by_model([
        ("endless", Reply::answer(WORDS).stall(At::Event(4))),
        ("quota", spent),
    ])
}
