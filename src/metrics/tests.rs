//! The families themselves, and what bounds their series.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::base::{Endpoint, ModelName};
use crate::config::{self, Config, Nothing};
use crate::health::{Board, Moment};
use crate::ledger;
use crate::outcome::{Blame, Outcome, Says, Skip};
use crate::usage::{Tokens, Usd};

fn config(more: &str) -> Config {
    let yaml = format!("providers:\n  p: {{ base_url: \"http://p.test/v1\" }}\n{more}");
    match config::load("t.yaml", yaml.as_bytes(), &Nothing) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

const GPT: &str = "models:\n  gpt: { provider: p, upstream_model: m }\n";

fn told(counts: &Counts, config: &Config) -> String {
    told_with(counts, config, None)
}

fn told_with(counts: &Counts, config: &Config, ledger: Option<&ledger::State>) -> String {
    #[expect(clippy::disallowed_methods, reason = "a board begins somewhere")]
    let board = Board::new(config, None, Instant::now());
    scrape(
        counts,
        (config, &board),
        Inside::default(),
        ledger,
        Moment::from_millis(0),
    )
}

/// One of everything that a name can be counted by.
fn count_all(counts: &Counts, config: &Config, name: &ModelName) {
    let at = counts.at(name, config.providers.first().map(|p| &**p));
    at.attempted(Some(Outcome::Timeout(Blame::Target)));
    at.attempted(None);
    at.skipped(Skip::Cooling);
    at.answered(&Answered {
        endpoint: Endpoint::Chat,
        key: None,
        first: Some(Duration::from_millis(300)),
        took: Duration::from_secs(3),
        per_token: Some(Duration::from_millis(20)),
        tokens: Tokens {
            input: 3,
            output: 5,
            ..Tokens::default()
        },
        cost: Some(Usd::from_pico(1)),
    });
    at.failed_over(at, "timeout");
    counts.at(name, None).skipped(Skip::Unknown);
    counts.ended(Some(Endpoint::Chat), Ended::Answered);
}

#[test]
fn names_that_clients_make_up_add_no_series() {
    let config = config(GPT);
    let counts = Counts::new(&config, None);
    count_all(&counts, &config, &"gpt".into());
    count_all(&counts, &config, &"p/anything".into());
    let series = told(&counts, &config).lines().count();
    for number in 0..100_000 {
        let name = ModelName::from(format!("p/made-up-{number}").as_str());
        count_all(&counts, &config, &name);
    }
    let told = told(&counts, &config);
    assert_eq!(told.lines().count(), series);
    assert!(!told.contains("made-up") && !told.contains("anything"));
    let others = r#"standin_attempts_total{model="other",outcome="timeout",provider="p"} 100001"#;
    assert!(told.lines().any(|line| line == others), "{told}");
    let unknown = r#"standin_skips_total{model="other",provider="none",reason="unknown"} 100002"#;
    assert!(told.lines().any(|line| line == unknown), "{told}");
}

#[test]
fn counters_go_on_after_a_reload_and_gauges_do_not_linger() {
    let before = config(GPT);
    let first = Counts::new(&before, None);
    count_all(&first, &before, &"gpt".into());
    let after = config("models:\n  new: { provider: p, upstream_model: m }\n");
    let second = Counts::new(&after, Some(&first));
    first.reloaded(true);
    second.reloaded(false);
    second.reloaded(false);
    // A request of the old configuration may end after the reload.
    count_all(&first, &before, &"gpt".into());
    count_all(&second, &after, &"new".into());
    let told = told(&second, &after);
    for line in [
        r#"standin_attempts_total{model="gpt",outcome="answered",provider="p"} 2"#,
        r#"standin_attempts_total{model="new",outcome="answered",provider="p"} 1"#,
        r#"standin_requests_total{endpoint="chat/completions",outcome="answered"} 3"#,
        r#"standin_config_reloads_total{result="accepted"} 1"#,
        r#"standin_config_reloads_total{result="rejected"} 2"#,
        r#"standin_target_state{model="new",provider="p",state="healthy"} 1"#,
    ] {
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
    assert!(!told.contains(r#"standin_target_state{model="gpt""#));
}

#[test]
fn every_outcome_and_skip_has_a_counter_of_its_own() {
    let config = config(GPT);
    let counts = Counts::new(&config, None);
    let at = counts.at(&"gpt".into(), config.providers.first().map(|p| &**p));
    for outcome in [
        Outcome::Auth(Blame::Target),
        Outcome::BadAnswer(Says::Broken),
        Outcome::ClientGone,
        Outcome::Connect,
        Outcome::ContextLength,
        Outcome::Cut,
        Outcome::Forbidden(Blame::Target),
        Outcome::Moderated,
        Outcome::NotFound(Blame::Target),
        Outcome::RateLimited(Blame::Target),
        Outcome::Rejected,
        Outcome::Reset(Blame::Target),
        Outcome::Timeout(Blame::Target),
        Outcome::Unavailable,
    ] {
        at.attempted(Some(outcome));
    }
    let skips = [
        Skip::Cooling,
        Skip::Credential,
        Skip::NotAllowed,
        Skip::Open,
        Skip::Probing,
        Skip::Quota,
        Skip::Unknown,
    ];
    for skip in skips {
        at.skipped(skip);
    }
    let told = told(&counts, &config);
    for label in Outcome::LABELS {
        let line =
            format!(r#"standin_attempts_total{{model="gpt",outcome="{label}",provider="p"}} 1"#);
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
    for skip in skips {
        let line = format!(
            r#"standin_skips_total{{model="gpt",provider="p",reason="{}"}} 1"#,
            skip.label()
        );
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
}

#[test]
fn cost_is_counted_by_key() {
    let digest = crate::config::Digest::of(b"k");
    let keys = format!("{GPT}keys:\n- {{ name: team, sha256: \"{digest}\" }}\n");
    let config = config(&keys);
    let counts = Counts::new(&config, None);
    let at = counts.at(&"gpt".into(), config.providers.first().map(|p| &**p));
    let team: Arc<str> = "team".into();
    for (key, pico) in [(Some(&team), 500_000_000_000), (None, 1), (Some(&team), 3)] {
        at.answered(&Answered {
            endpoint: Endpoint::Embeddings,
            key,
            first: None,
            took: Duration::ZERO,
            per_token: None,
            tokens: Tokens::default(),
            cost: Some(Usd::from_pico(pico)),
        });
    }
    let told = told(&counts, &config);
    for line in [
        r#"standin_cost_usd_total{key="team",model="gpt",provider="p"} 0.500000000003"#,
        r#"standin_cost_usd_total{key="none",model="gpt",provider="p"} 0.000000000001"#,
    ] {
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
}

#[test]
fn the_last_reload_is_told_until_the_next_one() {
    let config = config(GPT);
    let counts = Counts::new(&config, None);
    let is_told = |value: u8| {
        let line = format!("standin_config_last_reload_accepted {value}");
        told(&counts, &config).lines().any(|have| have == line)
    };
    assert!(is_told(1));
    counts.reloaded(false);
    assert!(is_told(0));
    counts.reloaded(true);
    assert!(is_told(1));
}

#[test]
fn a_ledger_that_is_behind_is_told_and_none_is_not() {
    let config = config(GPT);
    let counts = Counts::new(&config, None);
    assert!(!told(&counts, &config).contains("standin_ledger"));
    let trouble = ledger::Trouble {
        why: "the disk is full".into(),
        since: std::time::UNIX_EPOCH,
    };
    let mut state = ledger::State {
        journal: None,
        database: Some(trouble),
        appended: 90,
        imported: 70,
        waiting: 3,
        lost: 5,
        damaged: 7,
    };
    let told = told_with(&counts, &config, Some(&state));
    for line in [
        "standin_ledger_pending 23",
        r#"standin_ledger_trouble{part="database"} 1"#,
        r#"standin_ledger_trouble{part="journal"} 0"#,
        "standin_ledger_lost_total 5",
        "standin_ledger_damaged_total 7",
    ] {
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
    assert!(!told.contains("disk"));
    // What was imported may be read after what was appended.
    (state.appended, state.imported, state.waiting) = (69, 70, 0);
    let told = told_with(&counts, &config, Some(&state));
    assert!(told.lines().any(|have| have == "standin_ledger_pending 0"));
}
