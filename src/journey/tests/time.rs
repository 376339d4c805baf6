//! Clocks: each starts and ends where the contract says.

use super::journey::{Came, Trip, ms, seconds};
use super::play::{Act, DONE, HELLO, Play, finish, role, says};
use crate::outcome::{Blame, Outcome};

fn clocks(came: &Came) -> Vec<Option<Outcome>> {
    came.receipt
        .trail
        .tried()
        .map(|tried| tried.outcome)
        .collect()
}

fn took(came: &Came) -> Vec<u64> {
    let tried = came.receipt.trail.tried();
    tried.map(|tried| tried.took.as_secs()).collect()
}

const TARGET: Option<Outcome> = Some(Outcome::Timeout(Blame::Target));
const REQUEST: Option<Outcome> = Some(Outcome::Timeout(Blame::Request));

#[tokio::test(start_paused = true)]
async fn a_connection_must_be_there_in_time() {
    let slow = Play {
        open: vec![Act::Hang],
        ..Play::default()
    };
    let came = Trip::plain(&["a/x", "b/y"])
        .config("failover: { connect_timeout: 3s }\n")
        .run(&[("a/x", &[slow]), ("b/y", &[Play::hello()])])
        .await;
    assert_eq!(came.walk(), "a/x=connect, b/y=200");
    assert_eq!(came.took, seconds(3));
}

#[tokio::test(start_paused = true)]
async fn the_first_token_s_clock_runs_from_the_request_sent_to_something_said() {
    let late = |play: Play| Play {
        open: vec![Act::Wait(seconds(1))],
        send: vec![Act::Wait(seconds(20))],
        ..play
    };
    let chatty = Play::sse()
        .event(&role())
        .bytes(": ping\n\n")
        .wait(seconds(12));
    let chatty = (0..9).fold(chatty, |play, _| play.bytes(": ping\n\n").wait(seconds(4)));
    for slow in [
        Play::silent(),
        Play::stream().after(seconds(31)),
        Play::sse().hang(),
        Play::sse().event(&role()).hang(),
        chatty.event(&says("late")).event(DONE),
    ] {
        let came = Trip::stream(&["a/x", "b/y"])
            .run(&[("a/x", &[late(slow)]), ("b/y", &[Play::stream()])])
            .await;
        assert_eq!(came.walk(), "a/x=timeout, b/y=200");
        assert_eq!((clocks(&came)[0], took(&came)[0]), (TARGET, 1 + 20 + 30));
    }
    let just = Play::sse()
        .wait(seconds(29))
        .event(&says("x"))
        .wait(seconds(50))
        .event(DONE);
    let came = Trip::stream(&["a/x", "b/y"])
        .run(&[("a/x", &[late(just)])])
        .await;
    assert_eq!(came.walk(), "a/x=200");
    assert_eq!(came.given.committed, Some(seconds(1 + 20 + 29)));
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_s_clock_runs_from_the_request_sent_to_the_head() {
    let config = "failover: { answer_timeout: 100s, idle_timeout: 20s, total_timeout: 20m }\n";
    let sent = |play: Play| Play {
        send: vec![Act::Wait(seconds(5))],
        ..play
    };
    let late = Play::hello().after(seconds(101));
    let came = Trip::plain(&["a/x", "b/y"])
        .config(config)
        .run(&[("a/x", &[sent(late)]), ("b/y", &[Play::hello()])])
        .await;
    assert_eq!(came.walk(), "a/x=timeout, b/y=200");
    assert_eq!((clocks(&came)[0], took(&came)[0]), (TARGET, 105));
    // The head is in time, and the body may take longer than that.
    let (one, two) = HELLO.split_at(20);
    let slow = Play::head(200)
        .after(seconds(99))
        .wait(seconds(19))
        .bytes(one)
        .wait(seconds(19))
        .bytes(two);
    let came = Trip::plain(&["a/x", "b/y"])
        .config(config)
        .run(&[("a/x", &[sent(slow)])])
        .await;
    assert_eq!(came.walk(), "a/x=200");
    assert_eq!(came.took, seconds(5 + 99 + 19 + 19));
}

#[tokio::test(start_paused = true)]
async fn between_two_reads_of_a_plain_answer_the_idle_time_counts() {
    let config = "failover: { idle_timeout: 20s }\n";
    let stuck = Play::json(200, "{\"choices\"")
        .wait(seconds(21))
        .bytes(":1}");
    let came = Trip::plain(&["a/x", "b/y"])
        .config(config)
        .run(&[("a/x", &[stuck]), ("b/y", &[Play::hello()])])
        .await;
    assert_eq!(came.walk(), "a/x=timeout, b/y=200");
    assert_eq!((clocks(&came)[0], took(&came)[0]), (TARGET, 20));
}

#[tokio::test(start_paused = true)]
async fn between_two_reads_of_a_committed_stream_the_idle_time_counts() {
    let config = "failover: { idle_timeout: 20s }\n";
    let pinging = Play::sse()
        .event(&says("a"))
        .wait(seconds(19))
        .bytes(": ping\n\n")
        .wait(seconds(19))
        .events([&*finish("stop"), DONE]);
    let came = Trip::stream(&["a/x"])
        .config(config)
        .run(&[("a/x", &[pinging])])
        .await;
    assert!(came.text().ends_with("[DONE]\n\n"));
    let silent = Play::sse().event(&says("a")).wait(seconds(21)).event(DONE);
    let came = Trip::stream(&["a/x"])
        .config(config)
        .run(&[("a/x", &[silent])])
        .await;
    assert!(came.text().contains("upstream_cut"));
    assert_eq!(came.took, seconds(20));
}

#[tokio::test(start_paused = true)]
async fn no_candidate_takes_another_s_time() {
    let config = "failover: { first_token_timeout: 1h, answer_timeout: 1h, total_timeout: 90s }\n";
    for stream in [false, true] {
        let trip = || {
            let models = ["a/x", "b/y", "c/z"];
            let trip = if stream {
                Trip::stream(&models)
            } else {
                Trip::plain(&models)
            };
            trip.config(config)
        };
        let good = if stream {
            Play::stream()
        } else {
            Play::hello()
        };
        let silent = [Play::silent()];
        let plays: [(&str, &[Play]); 3] = [
            ("a/x", &silent),
            ("b/y", &silent),
            ("c/z", &[good.clone().after(seconds(29))]),
        ];
        let came = trip().run(&plays).await;
        assert_eq!(came.walk(), "a/x=timeout, b/y=timeout, c/z=200");
        assert_eq!(took(&came), [30, 30, 29]);
        assert_eq!(clocks(&came), [REQUEST, REQUEST, None]);

        let came = trip()
            .run(&[("a/x", &silent), ("b/y", &silent), ("c/z", &silent)])
            .await;
        assert_eq!(came.status(), 504);
        assert_eq!(came.code(), "upstream_timeout");
        assert_eq!((took(&came), came.took), (vec![30, 30, 30], seconds(90)));

        // What an early one leaves is shared by the rest.
        let plays: [(&str, &[Play]); 3] = [
            ("a/x", &[Play::refused()]),
            ("b/y", &silent),
            ("c/z", &[good.after(seconds(44))]),
        ];
        let came = trip().run(&plays).await;
        assert_eq!(took(&came), [0, 45, 44]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_s_targets_share_its_part() {
    let config = "failover: { answer_timeout: 1h, total_timeout: 80s }
models:
  m: { targets: [ { provider: a, upstream_model: one }, { provider: b, upstream_model: two } ] }
";
    let silent = [Play::silent()];
    let came = Trip::plain(&["m", "c/z"])
        .config(config)
        .run(&[
            ("a/one", &silent),
            ("b/two", &silent),
            ("c/z", &[Play::hello().after(seconds(29))]),
        ])
        .await;
    assert_eq!(came.walk(), "m=timeout, m=timeout, c/z=200");
    assert_eq!(took(&came), [20, 30, 29]);
}

#[tokio::test(start_paused = true)]
async fn the_very_last_step_gets_all_that_is_left() {
    for (came, good) in [
        (Trip::stream(&["a/x", "b/y"]), Play::stream()),
        (Trip::plain(&["a/x", "b/y"]), Play::hello()),
    ] {
        let came = came
            .config("failover: { first_token_timeout: 30s, answer_timeout: 30s }\n")
            .run(&[
                ("a/x", &[Play::silent()]),
                ("b/y", &[good.after(seconds(500))]),
            ])
            .await;
        assert_eq!(came.walk(), "a/x=timeout, b/y=200");
        assert_eq!(took(&came), [30, 500]);
    }
    // Also where only unknown names follow, and behind a slow opening.
    let slow = Play::sse()
        .event(&role())
        .wait(seconds(400))
        .event(&says("x"))
        .event(DONE);
    let came = Trip::stream(&["a/x", "nobody/y"])
        .run(&[("a/x", &[slow])])
        .await;
    assert_eq!(came.given.committed, Some(seconds(400)));
    // The first of two targets is not the last step.
    let config = "models: { m: { targets: [ { provider: a }, { provider: b } ] } }\n";
    let came = Trip::stream(&["m"])
        .config(config)
        .run(&[
            ("a/m", &[Play::silent()]),
            ("b/m", &[Play::stream().after(seconds(99))]),
        ])
        .await;
    assert_eq!(took(&came), [30, 99]);
}

#[tokio::test(start_paused = true)]
async fn the_total_ends_with_commit() {
    let config = "failover: { total_timeout: 10s }\n";
    let mut long = Play::sse();
    for _ in 0..30 {
        long = long.event(&says("x")).wait(seconds(5));
    }
    let came = Trip::stream(&["a/x"])
        .config(config)
        .run(&[("a/x", &[long.event(DONE)])])
        .await;
    assert_eq!(came.took, seconds(150));
    assert!(came.text().ends_with("[DONE]\n\n"));
    let came = Trip::plain(&["a/x"])
        .config(config)
        .run(&[("a/x", &[Play::hello().after(seconds(11))])])
        .await;
    assert_eq!((came.status(), came.took), (504, seconds(10)));
    // A body that trickles is not committed, so the total holds.
    let drips = (0..9).fold(Play::head(200), |play, _| play.bytes(" ").wait(seconds(4)));
    let came = Trip::plain(&["a/x"])
        .config(config)
        .run(&[("a/x", &[drips])])
        .await;
    assert_eq!((came.status(), came.took), (504, seconds(10)));
}

#[tokio::test(start_paused = true)]
async fn a_model_s_own_timeouts_go_before_its_provider_s_and_failover_s() {
    let config = "  d: { base_url: \"http://d.test\", timeouts: { first_token: 7s } }
failover: { first_token_timeout: 11s }
models: { d/slow: { timeouts: { first_token: 3s } } }
";
    let silent = [Play::silent()];
    let came = Trip::stream(&["d/slow", "d/x", "a/x", "b/y"])
        .config(config)
        .run(&[
            ("d/slow", &silent),
            ("d/x", &silent),
            ("a/x", &silent),
            ("b/y", &[Play::stream()]),
        ])
        .await;
    assert_eq!(took(&came), [3, 7, 11, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_s_retry_has_a_clock_of_its_own() {
    let stale = Play::breaks(crate::seam::Broken::Stale).after(seconds(20));
    let came = Trip::stream(&["a/x", "b/y"])
        .run(&[("a/x", &[stale, Play::stream().after(seconds(29))])])
        .await;
    assert_eq!(came.walk(), "a/x=200");
    assert_eq!(came.took, seconds(49));
    assert!(came.receipt.first.unwrap() - seconds(49) < ms(1));
}
