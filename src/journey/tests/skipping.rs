//! What is known to be bad is passed over, and one request finds out when it
//! is back.

use tokio::time::advance;

use super::journey::{Came, Inn, Trip, ms, seconds};
use super::play::{Play, finish, role, says};
use crate::base::Endpoint;
use crate::journey::End;
use crate::outcome::{Blame, Outcome};
use crate::seam::Broken;

/// The first provider's target, then one that always answers.
fn two() -> Trip {
    Trip::plain(&["a/x", "b/y"])
}

fn limited(wait: &str) -> Play {
    Play::error(429, "rate_limit_exceeded").header("retry-after", wait)
}

/// `a/x` plays these, and everything else answers.
fn inn(more: &str, plays: &[Play]) -> Inn {
    let good = [Play::hello()];
    Inn::new(
        more,
        &[
            ("a/x", plays),
            ("a/other", &good),
            ("b/x", &good),
            ("b/y", &good),
        ],
    )
}

fn walks(came: &[Came], walk: &str) -> usize {
    came.iter().filter(|came| came.walk() == walk).count()
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_target_sees_nothing_until_its_time_and_then_one_probe() {
    let inn = inn("", &[limited("30")]);
    assert_eq!(inn.host(two()).await.walk(), "a/x=429, b/y=200");
    for _ in 0..30 {
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
        advance(ms(999)).await;
    }
    assert_eq!(inn.asked("a/x"), 1);
    advance(seconds(3)).await;
    inn.world.plays("a/x", &[Play::hello().after(seconds(1))]);
    let came = inn.host_all((0..50).map(|_| two())).await;
    assert_eq!(inn.asked("a/x"), 2);
    assert_eq!(walks(&came, "a/x=200"), 1);
    assert_eq!(walks(&came, "a/x=skipped:probing, b/y=200"), 49);
    // Nobody waited for it.
    let quick = came.iter().filter(|came| came.took < ms(10)).count();
    assert_eq!(quick, 49);
    let came = inn.host_all((0..50).map(|_| two())).await;
    assert_eq!(walks(&came, "a/x=200"), 50);
}

#[tokio::test(start_paused = true)]
async fn chance_only_ever_makes_a_probe_later_and_by_little() {
    for (wait, latest) in [(32, 34), (320, 322)] {
        for dice in [0, 1 << 40, 1 << 62, u64::MAX / 2, u64::MAX] {
            let inn = inn("", &[limited(&wait.to_string())]);
            inn.host(two().dice(dice)).await;
            advance(seconds(wait) - ms(1)).await;
            let came = inn.host(two()).await;
            assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
            advance(seconds(latest - wait) + ms(1)).await;
            let came = inn.host(two()).await;
            assert_eq!(came.walk(), "a/x=429, b/y=200");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_gives_its_place_back_at_once() {
    let inn = inn("", &[limited("1"), Play::silent()]);
    inn.host(two()).await;
    advance(seconds(2)).await;
    for _ in 0..3 {
        let came = inn.host(two().leaves(ms(10))).await;
        assert_eq!(came.receipt.end, End::ClientGone);
    }
    assert_eq!(inn.asked("a/x"), 4);
    inn.world.plays("a/x", &[Play::hello()]);
    assert_eq!(inn.host(two()).await.walk(), "a/x=200");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_place_back_at_once() {
    let inn = inn("", &[limited("1"), Play::silent()]);
    inn.host(two()).await;
    advance(seconds(2)).await;
    let dropped = tokio::time::timeout(ms(10), inn.host(two())).await;
    assert!(dropped.is_err());
    assert_eq!(inn.asked("a/x"), 2);
    inn.world.plays("a/x", &[Play::hello()]);
    assert_eq!(inn.host(two()).await.walk(), "a/x=200");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_waits_longer_than_its_target_may_take_makes_room_for_another() {
    let times = "failover: { answer_timeout: 2s }\n";
    let inn = inn(times, &[limited("1"), Play::silent()]);
    inn.host(two()).await;
    advance(seconds(2)).await;
    // Alone on its list it waits as long as its client does.
    let patient = inn.host(Trip::plain(&["a/x"]).leaves(seconds(60)));
    let another = async {
        tokio::time::sleep(seconds(10)).await;
        inn.world.plays("a/x", &[Play::hello()]);
        inn.host(two()).await
    };
    let (patient, another) = tokio::join!(patient, another);
    assert_eq!(patient.receipt.end, End::ClientGone);
    assert_eq!(another.walk(), "a/x=200");
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_that_fails_does_not_free_the_place_of_a_probe() {
    let inn = inn("", &[Play::error(429, "x")]);
    inn.host(two()).await;
    advance(seconds(6)).await;
    let slow = Play::hello().after(seconds(1));
    inn.world
        .plays("a/x", &[slow, Play::error(429, "x"), Play::silent()]);
    let only = || Trip::plain(&["a/x"]);
    let late = async {
        tokio::time::sleep(ms(500)).await;
        inn.host(two()).await
    };
    let (probe, last, late) = tokio::join!(inn.host(two()), inn.host(only()), late);
    assert_eq!(probe.walk(), "a/x=200");
    assert_eq!(last.walk(), "a/x=skipped:probing, a/x=429");
    assert_eq!(late.walk(), "a/x=skipped:probing, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_a_breaker_whose_period_doubles_up_to_the_longest() {
    let inn = inn("", &[Play::error(500, "x")]);
    for _ in 0..5 {
        assert_eq!(inn.host(two()).await.walk(), "a/x=500, b/y=200");
    }
    for period in [5, 10, 20, 40, 60, 60, 60] {
        advance(seconds(period) - ms(1)).await;
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=skipped:open, b/y=200", "{period}");
        // The jitter is a sixteenth of the period and at most 2 s.
        advance(ms(1) + seconds(2)).await;
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=500, b/y=200", "{period}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_ends_the_count_of_failures() {
    let inn = inn("", &[]);
    for _ in 0..4 {
        let fails = Play::error(500, "x");
        inn.world.plays(
            "a/x",
            &[
                fails.clone(),
                fails.clone(),
                fails.clone(),
                fails,
                Play::hello(),
            ],
        );
        for walk in [500, 500, 500, 500] {
            let came = inn.host(two()).await;
            assert_eq!(came.walk(), format!("a/x={walk}, b/y=200"));
        }
        assert_eq!(inn.host(two()).await.walk(), "a/x=200");
        advance(seconds(31)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_every_other_time_is_opened_by_its_ratio() {
    let inn = inn("", &[]);
    for number in 0..20 {
        assert!(inn.asked("a/x") == number, "opened after {number}");
        let good = number % 2 == 0;
        let play = if good {
            Play::hello()
        } else {
            Play::error(503, "x")
        };
        inn.world.plays("a/x", &[play]);
        inn.host(two()).await;
    }
    assert_eq!(inn.host(two()).await.walk(), "a/x=skipped:open, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_open_a_breaker_though_each_began_well() {
    let cut = Play::sse()
        .events([&*role(), &says("Hel")])
        .broken(Broken::Reset);
    let inn = inn("", &[cut]);
    inn.world.plays("b/y", &[Play::stream()]);
    for _ in 0..5 {
        let came = inn.host(Trip::stream(&["a/x", "b/y"])).await;
        assert_eq!(came.receipt.end, End::Cut);
    }
    let came = inn.host(Trip::stream(&["a/x", "b/y"])).await;
    assert_eq!(came.walk(), "a/x=skipped:open, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn refused_connections_of_one_model_skip_the_providers_other_models() {
    let inn = inn("", &[Play::refused()]);
    for _ in 0..5 {
        assert_eq!(inn.host(two()).await.walk(), "a/x=connect, b/y=200");
    }
    let other = || Trip::plain(&["a/other", "b/y"]);
    assert_eq!(
        inn.host(other()).await.walk(),
        "a/other=skipped:open, b/y=200"
    );
    advance(seconds(6)).await;
    // One probe for all of them.
    inn.world.plays("a/other", &[Play::hello().after(ms(100))]);
    let came = inn.host_all([other(), two()]).await;
    assert_eq!(came[0].walk(), "a/other=200");
    assert_eq!(came[1].walk(), "a/x=skipped:probing, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_not_taken_skips_the_provider_with_one_probe_for_all() {
    for status in [401, 402] {
        let inn = inn("", &[Play::error(status, "x")]);
        let first = inn.host(two()).await;
        assert_eq!(first.walk(), format!("a/x={status}, b/y=200"));
        let other = || Trip::plain(&["a/other", "b/y"]);
        let came = inn.host(other()).await;
        assert_eq!(came.walk(), "a/other=skipped:credential, b/y=200");
        advance(seconds(6)).await;
        inn.world.plays("a/x", &[Play::hello().after(ms(100))]);
        let came = inn.host_all([two(), other(), other()]).await;
        assert_eq!(came[0].walk(), "a/x=200");
        assert_eq!(walks(&came, "a/other=skipped:probing, b/y=200"), 2);
        assert_eq!(inn.host(other()).await.walk(), "a/other=200");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_model_is_refused_for_says_nothing_of_the_others() {
    for play in [
        limited("30"),
        Play::error(403, "forbidden"),
        Play::error(404, "model_not_found"),
        Play::error(503, "x").header("retry-after", "30"),
    ] {
        let inn = inn("", &[play]);
        inn.host(two()).await;
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
        let came = inn.host(Trip::plain(&["a/other", "b/y"])).await;
        assert_eq!(came.walk(), "a/other=200");
        let came = inn.host(Trip::plain(&["b/x", "b/y"])).await;
        assert_eq!(came.walk(), "b/x=200");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_missing_or_forbidden_is_so_only_on_that_endpoint() {
    for (play, walk) in [
        (Play::error(404, "model_not_found"), "a/x=404, b/y=200"),
        (Play::error(403, "forbidden"), "a/x=403, b/y=200"),
    ] {
        let data = Play::json(200, r#"{"data":[]}"#);
        let inn = inn("", &[play, Play::hello()]);
        inn.world.plays("b/y", &[data]);
        let came = inn.host(two().at(Endpoint::Embeddings)).await;
        assert_eq!(came.walk(), walk);
        let came = inn.host(two().at(Endpoint::Embeddings)).await;
        assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
        assert_eq!(inn.host(two()).await.walk(), "a/x=200");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_sent_before_the_recovery_says_nothing_of_the_time_after() {
    let quick = "health: { failures: 1 }\n";
    let late = Play::error(500, "x").after(seconds(20));
    let inn = inn(quick, &[late, Play::error(500, "x"), Play::hello()]);
    let slow = async { vec![inn.host(two()).await] };
    let others = async {
        let failed = inn.host(two()).await;
        tokio::time::sleep(seconds(6)).await;
        let probe = inn.host(two()).await;
        tokio::time::sleep(seconds(15)).await;
        vec![failed, probe, inn.host(two()).await]
    };
    let (slow, others) = tokio::join!(slow, others);
    let walks: Vec<_> = slow.iter().chain(&others).map(Came::walk).collect();
    let failed = "a/x=500, b/y=200";
    assert_eq!(walks, [failed, failed, "a/x=200", "a/x=200"]);
}

#[tokio::test(start_paused = true)]
async fn a_total_that_ran_out_says_nothing_of_the_target() {
    let short = "failover: { total_timeout: 2s }\nhealth: { failures: 1 }\n";
    let inn = inn(short, &[Play::silent()]);
    for _ in 0..10 {
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=timeout, b/y=200");
        let outcome = came.receipt.trail.tried().next().unwrap().outcome;
        assert_eq!(outcome, Some(Outcome::Timeout(Blame::Request)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_last_candidate_is_not_ended_by_its_own_timeout_because_another_was_skipped() {
    let inn = inn("", &[limited("100")]);
    let slow = Play::sse()
        .wait(seconds(45))
        .events([&*says("late"), &finish("stop"), "[DONE]"]);
    inn.world.plays("b/y", &[slow]);
    let trip = || Trip::stream(&["a/x", "b/y"]);
    assert_eq!(inn.host(trip()).await.walk(), "a/x=429, b/y=200");
    let came = inn.host(trip()).await;
    assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
    // Nor where the other stands after it.
    let came = inn.host(Trip::stream(&["b/y", "a/x"])).await;
    assert_eq!((came.walk(), came.took), ("b/y=200", seconds(45)));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_survives_a_reload_and_a_time_without_an_entry() {
    let named = "models: { a/x: {} }\n";
    let mut inn = inn(named, &[limited("30")]);
    inn.host(two()).await;
    for more in [named, "", named, ""] {
        inn.reload(more);
        let came = inn.host(two()).await;
        assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200", "{more:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_final_error_says_when_the_first_of_all_may_be_back() {
    let inn = inn("", &[limited("30")]);
    inn.world.plays("b/y", &[limited("12")]);
    let came = inn.host(two()).await;
    assert_eq!(came.walk(), "a/x=429, b/y=429");
    assert_eq!(
        (came.status(), came.header("retry-after")),
        (429, Some("12"))
    );
    advance(seconds(5)).await;
    // What they say now is what counts, and neither is back sooner for it.
    let came = inn.host(two()).await;
    assert_eq!(came.header("retry-after"), Some("12"));
}

#[tokio::test(start_paused = true)]
async fn another_credential_is_tried_at_once() {
    let with_key =
        |key: &str| format!("  d: {{ base_url: \"http://d.test/v1\", api_key: {key} }}\n");
    let trip = || Trip::plain(&["d/x", "b/y"]);
    let mut inn = inn(&with_key("one"), &[]);
    inn.world
        .plays("d/x", &[Play::error(401, "x"), Play::hello()]);
    assert_eq!(inn.host(trip()).await.walk(), "d/x=401, b/y=200");
    inn.reload(&with_key("one"));
    let came = inn.host(trip()).await;
    assert_eq!(came.walk(), "d/x=skipped:credential, b/y=200");
    inn.reload(&with_key("two"));
    assert_eq!(inn.host(trip()).await.walk(), "d/x=200");
}
