//! Whose state an outcome changes, who is admitted then, and what a request's
//! place gives back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::house::{FILE, House, at, failure, limited_for, quota, wish};
use crate::base::Endpoint;
use crate::health::{LastError, Wish};
use crate::outcome::{Blame, Effect, Outcome, Says, Skip};

const LIMITED: Outcome = Outcome::RateLimited(Blame::Target);
const FAR: u64 = 3_600_000;

#[test]
fn a_provider_that_cannot_be_reached_is_left_alone_for_all_its_models() {
    for outcome in [Outcome::Connect, Outcome::Reset(Blame::Target)] {
        let house = House::new(FILE);
        house.fails("x", outcome, 0);
        house.fails("y", outcome, 1);
        assert_eq!(house.asks("y", 2), "pass");
        house.fails("a/made-up", outcome, 2);
        for name in ["x", "y", "a/made-up", "a/never-heard-of"] {
            assert_eq!(house.asks(name, 3), "open", "{name}");
        }
        assert_eq!(house.asks("z", 3), "pass");
    }
}

#[test]
fn a_refused_credential_is_left_alone_for_all_models_with_one_probe_for_all() {
    for outcome in [
        Outcome::Auth(Blame::Target),
        Outcome::BadAnswer(Says::Credential),
    ] {
        let house = House::new(FILE);
        house.fails("x", outcome, 0);
        for name in ["x", "y", "a/made-up"] {
            assert_eq!(house.asks(name, 999), "credential", "{name}");
        }
        assert_eq!(house.asks("z", 999), "pass");
        let y = house.target("y");
        let mut probe = house.board.admit(wish(&y, 1_000), || 1).unwrap();
        assert!(probe.is_probe());
        for name in ["x", "y", "a/made-up"] {
            assert_eq!(house.asks(name, 1_000), "probing", "{name}");
        }
        probe.said(at(1_100));
        for name in ["x", "y", "a/made-up"] {
            assert_eq!(house.asks(name, 1_100), "pass", "{name}");
        }
    }
}

#[test]
fn a_failing_or_limited_model_says_nothing_of_the_others() {
    for outcome in [
        LIMITED,
        Outcome::BadAnswer(Says::RateLimited),
        Outcome::Unavailable,
        Outcome::Timeout(Blame::Target),
        Outcome::BadAnswer(Says::Broken),
        Outcome::Cut,
    ] {
        let house = House::new(FILE);
        let times = if outcome.effect() == Effect::RateLimit {
            1
        } else {
            3
        };
        for _ in 0..times {
            assert_eq!(house.asks("x", 0), "pass");
            house.fails("x", outcome, 0);
        }
        for endpoint in Endpoint::ALL {
            let told = house.asks_on("x", endpoint, 1);
            assert!(["cooling", "open"].contains(&told), "{outcome:?}: {told}");
        }
        for name in ["y", "z", "a/made-up"] {
            assert_eq!(house.asks(name, 1), "pass", "{outcome:?} {name}");
        }
    }
}

#[test]
fn what_is_missing_or_forbidden_on_one_endpoint_may_be_there_on_another() {
    for outcome in [
        Outcome::NotFound(Blame::Target),
        Outcome::Forbidden(Blame::Target),
    ] {
        for name in ["x", "a/made-up"] {
            let house = House::new(FILE);
            house.fails(name, outcome, 0);
            for endpoint in Endpoint::ALL {
                let should = if endpoint == Endpoint::Chat {
                    "cooling"
                } else {
                    "pass"
                };
                assert_eq!(house.asks_on(name, endpoint, 1), should, "{endpoint:?}");
            }
            assert_eq!(house.asks("y", 1), "pass");
            assert_eq!(house.asks(name, 1_000), "probe");
        }
    }
}

#[test]
fn what_one_request_brings_about_by_itself_is_remembered_of_nobody() {
    for outcome in [
        Outcome::Auth(Blame::Request),
        Outcome::BadAnswer(Says::Prompt),
        Outcome::ClientGone,
        Outcome::ContextLength,
        Outcome::Forbidden(Blame::Request),
        Outcome::Moderated,
        Outcome::NotFound(Blame::Request),
        Outcome::RateLimited(Blame::Request),
        Outcome::Rejected,
        Outcome::Reset(Blame::Request),
        Outcome::Timeout(Blame::Request),
    ] {
        let house = House::new(FILE);
        for name in ["x", "a/made-up"] {
            for n in 0..100 {
                house.fails(name, outcome, n);
            }
            for endpoint in Endpoint::ALL {
                assert_eq!(house.asks_on(name, endpoint, 100), "pass", "{outcome:?}");
            }
        }
        assert!(house.board.made_up.look(1, "made-up", |_| ()).is_none());
    }
}

#[test]
fn a_probe_that_says_nothing_of_the_target_gives_its_place_back() {
    for outcome in [Outcome::ClientGone, Outcome::Rejected, Outcome::Moderated] {
        let house = House::new(FILE);
        house.fails("x", LIMITED, 0);
        for _ in 0..3 {
            assert_eq!(house.asks("x", 1_000), "probe");
            house.fails("x", outcome, 1_000);
        }
        assert_eq!(house.asks("x", 1_000), "probe");
    }
}

#[test]
fn a_probe_refused_by_the_model_still_shows_that_the_credential_is_taken() {
    let house = House::new(FILE);
    house.fails("x", Outcome::Auth(Blame::Target), 0);
    house.fails("x", LIMITED, 1_000);
    assert_eq!(house.asks("x", 1_001), "cooling");
    assert_eq!(house.asks("y", 1_001), "pass");
}

#[test]
fn a_place_that_is_dropped_or_lost_to_a_panic_is_given_back() {
    let house = House::new(FILE);
    house.fails("x", LIMITED, 0);
    let x = house.target("x");
    for _ in 0..3 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let probe = house.board.admit(wish(&x, 1_000), || 1).unwrap();
            assert!(probe.is_probe());
            assert_eq!(house.asks("x", 1_000), "probing");
            // Unwinds without a message in the test's output.
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(house.asks("x", 1_000), "probe");
    }
}

#[test]
fn a_request_that_is_passed_over_takes_no_probes_place_elsewhere() {
    // Both the credential and the target are due, but the endpoint is not.
    let house = House::new(FILE);
    let x = house.target("x");
    let mut admissions: Vec<_> = (0..3)
        .map(|_| house.board.admit(wish(&x, 0), || 1).unwrap())
        .collect();
    let mut fails = |outcome, ms| admissions.pop().unwrap().failed(failure(outcome), at(ms));
    fails(Outcome::Auth(Blame::Target), 0);
    fails(LIMITED, 0);
    fails(Outcome::NotFound(Blame::Target), 500);
    for _ in 0..3 {
        assert_eq!(house.asks("x", 1_200), "cooling");
    }
    assert_eq!(house.asks("y", 1_200), "probe");
    assert_eq!(house.asks_on("x", Endpoint::Embeddings, 1_200), "probe");
}

#[test]
fn a_provider_that_fails_half_the_time_opens_by_the_ratio() {
    let house = House::new(FILE);
    for n in 0..19 {
        assert_eq!(house.asks("x", n * 100), "pass", "{n}");
        if n % 2 == 0 {
            house.answers("x", n * 100);
        } else {
            house.fails("x", Outcome::Unavailable, n * 100);
        }
    }
    // The twentieth is the tenth failure of twenty.
    house.fails("x", Outcome::Unavailable, 1_900);
    assert_eq!(house.asks("x", 1_900), "open");
    // Its recovery begins a new count.
    house.answers("x", 2_900);
    house.fails("x", Outcome::Unavailable, 3_000);
    assert_eq!(house.asks("x", 3_000), "pass");
}

#[test]
fn a_time_that_the_provider_says_is_kept_to_and_told() {
    let house = House::new(FILE);
    let x = house.target("x");
    let admission = house
        .board
        .admit(
            Wish {
                dice: u64::MAX,
                ..wish(&x, 0)
            },
            || 1,
        )
        .unwrap();
    admission.failed(limited_for(Duration::from_secs(30)), at(0));
    assert_eq!(house.asks("x", 30_000), "cooling");
    assert_eq!(house.asks("x", 31_875), "probe");
    let back = house.board.back_at(&x, Endpoint::Chat, at(10));
    assert_eq!(back, Some(at(30_000)));
    let y = house.target("y");
    assert_eq!(house.board.back_at(&y, Endpoint::Chat, at(10)), None);
}

#[test]
fn an_unavailable_one_that_says_how_long_is_left_alone_so_long() {
    let house = House::new(FILE);
    let x = house.target("x");
    let failed = crate::health::Failed {
        wait: Some(Duration::from_secs(20)),
        ..failure(Outcome::Unavailable)
    };
    house
        .board
        .admit(wish(&x, 0), || 1)
        .unwrap()
        .failed(failed, at(0));
    assert_eq!(house.asks("x", 19_999), "cooling");
    assert_eq!(house.asks("x", 20_000), "probe");
}

#[test]
fn a_reported_quota_is_shared_by_those_on_their_way() {
    for name in ["x", "a/made-up"] {
        let house = House::new(FILE);
        let target = house.target(name);
        let mut first = house.board.admit(wish(&target, 0), || 1).unwrap();
        first.headed(&quota(Some((2, 60_000)), Some((500, 30_000))), at(0));
        drop(first);
        let one = house.board.admit(wish(&target, 1), || 300).unwrap();
        let refused = house.board.admit(wish(&target, 1), || 300).unwrap_err();
        assert_eq!(
            (refused.why, refused.until),
            (Skip::Quota, Some(at(30_000)))
        );
        let two = house.board.admit(wish(&target, 1), || 100).unwrap();
        let refused = house.board.admit(wish(&target, 1), || 1).unwrap_err();
        assert_eq!(
            (refused.why, refused.until),
            (Skip::Quota, Some(at(60_000)))
        );
        assert_eq!(house.asks("y", 1), "pass");
        drop(two);
        assert_eq!(house.asks(name, 1), "pass");
        drop(one);
        // The windows end one after the other.
        assert!(house.board.admit(wish(&target, 30_000), || 9_999).is_ok());
    }
}

#[test]
fn a_quota_that_is_used_up_is_no_probes_place() {
    let house = House::new(FILE);
    let x = house.target("x");
    let mut first = house.board.admit(wish(&x, 0), || 1).unwrap();
    first.headed(&quota(Some((0, 60_000)), None), at(0));
    first.failed(failure(LIMITED), at(0));
    assert_eq!(house.asks("x", 1_000), "quota");
    assert_eq!(house.asks("x", 60_000), "probe");
    let back = house.board.back_at(&x, Endpoint::Chat, at(1));
    assert_eq!(back, Some(at(60_000)));
}

#[test]
fn at_most_eight_last_resorts_are_out_and_the_ninth_is_told_the_last_error() {
    for name in ["x", "a/made-up"] {
        let house = House::new(FILE);
        let target = house.target(name);
        for _ in 0..3 {
            let admission = house.board.admit(wish(&target, 7), || 1).unwrap();
            let failed = crate::health::Failed {
                status: Some(529),
                ..failure(Outcome::Unavailable)
            };
            admission.failed(failed, at(7));
        }
        assert_eq!(house.asks(name, 8), "open");
        for _ in 0..3 {
            let mut out: Vec<_> = (0..8)
                .map(|_| house.board.last_resort(wish(&target, 8)).unwrap())
                .collect();
            assert!(out.iter().all(|a| a.is_last_resort() && !a.is_probe()));
            let told = house.board.last_resort(wish(&target, 8)).unwrap_err();
            let remembered = LastError {
                outcome: Outcome::Unavailable,
                status: Some(529),
                at: at(7),
            };
            assert_eq!(told, remembered);
            out.pop();
            assert!(house.board.last_resort(wish(&target, 8)).is_ok());
        }
    }
}

#[test]
fn the_last_error_told_is_that_of_what_is_bad() {
    let house = House::new(FILE);
    house.fails("x", Outcome::NotFound(Blame::Target), 0);
    house.fails("y", Outcome::Auth(Blame::Target), 5);
    let told = |name| {
        let target = house.target(name);
        let out: Vec<_> = (0..8)
            .map(|_| house.board.last_resort(wish(&target, 6)))
            .collect();
        let told = house.board.last_resort(wish(&target, 6)).unwrap_err();
        drop(out);
        (told.outcome.label(), told.at)
    };
    assert_eq!(told("x"), ("auth", at(5)));
    assert_eq!(told("y"), ("auth", at(5)));
    house.answers("y", 1_005);
    assert_eq!(told("x"), ("not_found", at(0)));
}

#[test]
fn a_used_up_quota_is_told_as_a_rate_limit_where_nothing_else_is_known() {
    let house = House::new(FILE);
    let x = house.target("x");
    let mut first = house.board.admit(wish(&x, 0), || 1).unwrap();
    first.headed(&quota(Some((0, 60_000)), None), at(0));
    first.finished(at(0));
    let out: Vec<_> = (0..8)
        .map(|_| house.board.last_resort(wish(&x, 6)).unwrap())
        .collect();
    assert!(out.iter().all(crate::health::Admission::is_last_resort));
    let told = house.board.last_resort(wish(&x, 6)).unwrap_err();
    assert_eq!(
        (told.outcome.label(), told.status),
        ("rate_limited", Some(429))
    );
}

#[test]
fn a_last_resort_that_answers_brings_the_probe_forward() {
    let house = House::new(FILE);
    for _ in 0..3 {
        house.fails("x", Outcome::Unavailable, 0);
    }
    let x = house.target("x");
    let mut resort = house.board.last_resort(wish(&x, 100)).unwrap();
    resort.said(at(150));
    resort.finished(at(200));
    assert_eq!(house.asks("x", 200), "probe");
    house.answers("x", 200);
    assert_eq!(house.asks("x", 200), "pass");
}

#[test]
fn a_target_that_has_healed_meanwhile_is_asked_as_usual() {
    let house = House::new(FILE);
    let x = house.target("x");
    assert!(
        !house
            .board
            .last_resort(wish(&x, 0))
            .unwrap()
            .is_last_resort()
    );
}

#[test]
fn admits_says_what_admit_would_and_takes_nothing() {
    let house = House::new(FILE);
    house.fails("x", LIMITED, 0);
    house.fails("z", Outcome::Auth(Blame::Target), 0);
    let y = house.target("y");
    let mut admission = house.board.admit(wish(&y, 0), || 1).unwrap();
    admission.headed(&quota(Some((0, 500)), None), at(0));
    drop(admission);
    for ms in [1, 499, 500, 999, 1_000, FAR] {
        for name in ["x", "y", "z", "a/made-up"] {
            let target = house.target(name);
            let says = house.board.admits(wish(&target, ms));
            assert_eq!(says, house.board.admits(wish(&target, ms)));
            let would = house.board.admit(wish(&target, ms), || 1).is_ok();
            assert_eq!(says, would, "{name} at {ms} ms");
        }
    }
}

#[test]
fn admitting_a_healthy_target_and_letting_it_go_writes_nothing() {
    let house = House::new(FILE);
    house.answers("x", 0);
    house.answers("a/made-up", 0);
    let before = format!("{:?}", house.board);
    for name in ["x", "a/made-up", "a/never-heard-of"] {
        let target = house.target(name);
        let admission = house.board.admit(wish(&target, 1), || 1).unwrap();
        // Nothing is different while it is out either: no count of any kind.
        assert_eq!(format!("{:?}", house.board), before, "{name}");
        let owners = house.board.made_up.look(1, "made-up", Arc::strong_count);
        assert_eq!(owners, Some(1), "{name}");
        drop(admission);
        assert_eq!(format!("{:?}", house.board), before, "{name}");
    }
    // That this sees a write: a report is one.
    let x = house.target("x");
    let mut admission = house.board.admit(wish(&x, 1), || 1).unwrap();
    admission.headed(&quota(Some((9, 60_000)), None), at(1));
    assert_ne!(format!("{:?}", house.board), before);
}
