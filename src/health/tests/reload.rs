//! What a new configuration keeps of what is known.

use std::time::Duration;

use super::house::{FILE, House, at, failure, limited_for, quota, wish};
use crate::base::Endpoint;
use crate::outcome::{Blame, Outcome};

const LIMITED: Outcome = Outcome::RateLimited(Blame::Target);
const REFUSED: Outcome = Outcome::Auth(Blame::Target);
const MISSING: Outcome = Outcome::NotFound(Blame::Target);

/// The file with a change.
fn with(old: &str, new: &str) -> String {
    assert!(FILE.contains(old));
    FILE.replace(old, new)
}

#[test]
fn what_is_known_of_targets_that_stay_survives() {
    let house = House::new(FILE);
    house.fails("x", LIMITED, 0);
    house.fails("z", REFUSED, 0);
    house.fails("a/made-up", LIMITED, 0);
    let y = house.target("y");
    let mut admission = house.board.admit(wish(&y, 0), || 1).unwrap();
    admission.headed(&quota(Some((0, 5_000)), None), at(0));
    drop(admission);
    // In another order, and under another name for clients.
    let file = "
health: { failures: 3, failure_ratio: 0.5, cooldown: 1s, max_cooldown: 8s }
providers:
  b: { base_url: 'http://b/v1', api_key: two }
  a: { base_url: 'http://a/v1', api_key: one }
models:
  z: { provider: b, upstream_model: z }
  new: { provider: a, upstream_model: new }
  y: { provider: a, upstream_model: y }
  other: { provider: a, upstream_model: x }
";
    let house = house.reloaded(file, 500);
    assert_eq!(house.asks("other", 999), "cooling");
    assert_eq!(house.asks("y", 999), "quota");
    assert_eq!(house.asks("z", 999), "credential");
    assert_eq!(house.asks("a/made-up", 999), "cooling");
    assert_eq!(house.asks("new", 999), "pass");
    assert_eq!(house.asks("other", 1_000), "probe");
}

#[test]
fn a_provider_at_another_place_starts_anew() {
    let house = House::new(FILE);
    for _ in 0..3 {
        house.fails("x", Outcome::Connect, 0);
    }
    house.fails("z", LIMITED, 0);
    let mut after = house.reloaded(&with("http://a/v1", "http://elsewhere/v1"), 10);
    assert_eq!(after.asks("x", 10), "pass");
    assert_eq!(after.asks("z", 10), "cooling");
    // Not even what clients made up there is taken for the new one's.
    after.fails("a/made-up", LIMITED, 10);
    after = after.reloaded(&with("http://a/v1", "http://third/v1"), 20);
    assert_eq!(after.asks("a/made-up", 20), "pass");
}

#[test]
fn another_credential_is_asked_at_once_by_one_probe() {
    let house = House::new(FILE);
    let x = house.target("x");
    let limited = house.board.admit(wish(&x, 0), || 1).unwrap();
    house.fails("x", MISSING, 0);
    limited.failed(failure(LIMITED), at(0));
    house.fails("a/made-up", MISSING, 0);
    house.fails("y", REFUSED, 0);
    house.fails("z", REFUSED, 0);
    let same = house.reloaded(FILE, 10);
    assert_eq!(same.asks("y", 10), "credential");
    let after = same.reloaded(&with("api_key: one", "api_key: new"), 10);
    assert_eq!(after.asks("z", 10), "credential");
    assert_eq!(after.asks("y", 10), "probe");
    after.answers("y", 10);
    // What is not there may be there for another one.
    assert_eq!(after.asks("a/made-up", 10), "probe");
    assert_eq!(after.asks_on("x", Endpoint::Chat, 10), "cooling");
    assert_eq!(after.asks_on("x", Endpoint::Chat, 1_000), "probe");
}

#[test]
fn what_was_sent_with_the_old_credential_says_nothing_of_the_new_one() {
    // Whether or not the old one was known to be refused.
    for is_known in [false, true] {
        let house = House::new(FILE);
        let (x, y) = (house.target("x"), house.target("y"));
        let old = house.board.admit(wish(&x, 0), || 1).unwrap();
        let older = house.board.admit(wish(&x, 0), || 1).unwrap();
        if is_known {
            let first = house.board.admit(wish(&y, 0), || 1).unwrap();
            first.failed(failure(REFUSED), at(0));
        }
        let after = house.reloaded(&with("api_key: one", "api_key: new"), 100);
        old.failed(failure(REFUSED), at(150));
        after.answers("y", 200);
        older.failed(failure(REFUSED), at(300));
        assert_eq!(after.asks("y", 300), "pass", "known: {is_known}");
    }
}

#[test]
fn a_target_that_leaves_the_file_is_remembered_for_clients_who_name_it() {
    let house = House::new(FILE);
    house.fails("x", LIMITED, 0);
    let without = with("  x: { provider: a, upstream_model: x }\n", "");
    let after = house.reloaded(&without, 10);
    assert!(after.target("a/x").index.is_none());
    assert_eq!(after.asks("a/x", 10), "cooling");
    // And back.
    let back = after.reloaded(FILE, 20);
    assert!(back.target("x").index.is_some());
    assert_eq!(back.asks("x", 20), "cooling");
    assert_eq!(back.asks("x", 1_000), "probe");
    back.answers("x", 1_000);
    let gone = back.reloaded(&without, 2_000);
    assert_eq!(gone.asks("a/x", 2_000), "pass");
}

#[test]
fn a_made_up_target_that_comes_into_the_file_is_known_already() {
    let house = House::new(FILE);
    house.fails("a/new", LIMITED, 0);
    let file = with(
        "models:\n",
        "models:\n  new: { provider: a, upstream_model: new }\n",
    );
    let after = house.reloaded(&file, 10);
    assert_eq!(after.asks("new", 10), "cooling");
}

#[test]
fn requests_in_flight_report_to_the_same_memory() {
    let house = House::new(FILE);
    house.fails("x", LIMITED, 0);
    let (x, y) = (house.target("x"), house.target("y"));
    let probe = house.board.admit(wish(&x, 1_000), || 1).unwrap();
    let usual = house.board.admit(wish(&y, 1_000), || 1).unwrap();
    let after = house.reloaded(&with("failures: 3", "failures: 1"), 1_100);
    assert_eq!(after.asks("x", 1_100), "probing");
    drop(probe);
    assert_eq!(after.asks("x", 1_100), "probe");
    usual.failed(limited_for(Duration::from_secs(9)), at(1_200));
    assert_eq!(after.asks("y", 1_200), "cooling");
    // Theirs are the rules they came in under; new ones have the new.
    after.fails("z", Outcome::Unavailable, 1_200);
    assert_eq!(after.asks("z", 1_200), "open");
}

#[test]
fn a_thousand_reloads_number_no_provider_twice_and_forget_nothing() {
    let mut house = House::new(FILE);
    house.fails("z", LIMITED, 0);
    for n in 0..1_000_u64 {
        let place = format!("http://a{n}/v1");
        house = house.reloaded(&with("http://a/v1", &place), n);
        assert_eq!(house.asks("a/made-up", n), "pass");
        house.fails("a/made-up", LIMITED, n);
        assert_eq!(house.asks("a/made-up", n), "cooling");
        assert_eq!(house.asks("z", n), "cooling");
    }
}
