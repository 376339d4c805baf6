//! What a request's receipt adds to what is counted.

use std::time::Duration;

use super::journey::{Came, Inn, Trip};
use super::play::{DONE, Play, finish, says};
use crate::health::Moment;
use crate::metrics::{Counts, Inside, scrape};

const USAGE: &str = r#"{"id":"c","model":"up","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":11,"total_tokens":31,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

const MODELS: &str = "models:
  one: { provider: a, upstream_model: m, price: { input: 2, output: 4 } }
  two: { provider: b, upstream_model: m }
";

pub(super) fn told(inn: &Inn, came: &[Came]) -> String {
    let counts = Counts::new(&inn.config, None);
    for came in came {
        came.receipt.count(&counts);
    }
    let now = tokio::time::Instant::now().into_std();
    let now: Moment = inn.board.moment(now);
    let inside = Inside {
        requests: 3,
        connections: 2,
    };
    scrape(&counts, (&inn.config, &inn.board), inside, None, now)
}

pub(super) fn holds(told: &str, lines: &[&str]) {
    for line in lines {
        assert!(told.lines().any(|have| have == *line), "{line} in {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_counted_with_its_times_tokens_and_cost() {
    let stream = Play::sse()
        .wait(Duration::from_secs(2))
        .events([&*says("Hel")])
        .wait(Duration::from_secs(3))
        .events([&*says("lo"), &finish("stop"), USAGE, DONE]);
    let inn = Inn::new(MODELS, &[("a/m", &[stream])]);
    let came = inn.host(Trip::stream(&["one"])).await;
    let told = told(&inn, &[came]);
    let labels =
        r#"gen_ai_operation_name="chat",gen_ai_provider_name="a",gen_ai_response_model="one""#;
    let gen_ai = |family: &str, more: &str, value: &str| {
        let line = format!("{family}{{{labels}{more}}} {value}");
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    };
    gen_ai("gen_ai_server_request_duration_seconds_sum", "", "5");
    gen_ai("gen_ai_server_time_to_first_token_seconds_sum", "", "2");
    // Ten tokens after the first, in three seconds.
    gen_ai("gen_ai_server_time_per_output_token_seconds_sum", "", "0.3");
    for (kind, count) in [("input", "20"), ("output", "11")] {
        let kind = format!(r#",gen_ai_token_type="{kind}""#);
        gen_ai("gen_ai_client_token_usage_sum", &kind, count);
        gen_ai("gen_ai_client_token_usage_count", &kind, "1");
    }
    holds(
        &told,
        &[
            r#"standin_requests_total{endpoint="chat/completions",outcome="answered"} 1"#,
            r#"standin_attempts_total{model="one",outcome="answered",provider="a"} 1"#,
            r#"standin_tokens_total{kind="input",model="one",provider="a"} 20"#,
            r#"standin_tokens_total{kind="cached",model="one",provider="a"} 4"#,
            r#"standin_tokens_total{kind="output",model="one",provider="a"} 11"#,
            r#"standin_tokens_total{kind="reasoning",model="one",provider="a"} 2"#,
            r#"standin_cost_usd_total{key="none",model="one",provider="a"} 0.000084"#,
            "standin_overhead_seconds_count 1",
            "standin_in_flight 3",
            r#"standin_target_state{model="one",provider="a",state="healthy"} 1"#,
            r#"standin_target_state{model="one",provider="a",state="open"} 0"#,
        ],
    );
    assert!(!told.contains("standin_failovers_total{"));
}

#[tokio::test(start_paused = true)]
async fn a_failover_says_from_whom_to_whom_and_why() {
    let inn = Inn::new(
        MODELS,
        &[
            ("a/m", &[Play::error(429, "x").header("retry-after", "60")]),
            ("b/m", &[Play::hello()]),
            ("c/x", &[Play::error(503, "x")]),
        ],
    );
    let mut came = Vec::new();
    for models in [
        &["one", "two"][..],
        &["one", "two"],
        &["c/x", "nobody", "two"],
        &["two"],
    ] {
        came.push(inn.host(Trip::plain(models)).await);
    }
    let told = told(&inn, &came);
    holds(
        &told,
        &[
            r#"standin_failovers_total{from="one",reason="rate_limited",to="two"} 1"#,
            r#"standin_failovers_total{from="one",reason="cooling",to="two"} 1"#,
            r#"standin_failovers_total{from="other",reason="unavailable",to="two"} 1"#,
            r#"standin_attempts_total{model="one",outcome="rate_limited",provider="a"} 1"#,
            r#"standin_attempts_total{model="other",outcome="unavailable",provider="c"} 1"#,
            r#"standin_attempts_total{model="two",outcome="answered",provider="b"} 4"#,
            r#"standin_skips_total{model="one",provider="a",reason="cooling"} 1"#,
            r#"standin_skips_total{model="other",provider="none",reason="unknown"} 1"#,
            r#"standin_target_state{model="one",provider="a",state="cooling"} 1"#,
            r#"standin_target_state{model="one",provider="a",state="healthy"} 0"#,
        ],
    );
    let failovers = told
        .lines()
        .filter(|line| line.starts_with("standin_failovers_total{"));
    assert_eq!(failovers.count(), 3);
    // A plain answer has no first token of its own.
    holds(
        &told,
        &[
            r#"gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="b",gen_ai_response_model="two"} 0"#,
            r#"gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="b",gen_ai_response_model="two"} 4"#,
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn each_end_is_counted_as_what_it_is() {
    let cut = Play::sse().events([&*says("Hel")]);
    let slow = Play::sse()
        .events([&*says("Hel")])
        .wait(Duration::from_secs(9))
        .events([DONE]);
    let inn = Inn::new(
        MODELS,
        &[("a/m", &[cut, slow]), ("b/m", &[Play::error(500, "x")])],
    );
    let mut came = vec![inn.host(Trip::stream(&["one"])).await];
    let leaves = Trip::stream(&["one"]).leaves(Duration::from_secs(1));
    came.push(inn.host(leaves).await);
    came.push(inn.host(Trip::plain(&["two"])).await);
    let told = told(&inn, &came);
    holds(
        &told,
        &[
            r#"standin_requests_total{endpoint="chat/completions",outcome="cut"} 1"#,
            r#"standin_requests_total{endpoint="chat/completions",outcome="client_gone"} 1"#,
            r#"standin_requests_total{endpoint="chat/completions",outcome="failed"} 1"#,
            r#"standin_requests_total{endpoint="chat/completions",outcome="answered"} 0"#,
            r#"standin_attempts_total{model="one",outcome="cut",provider="a"} 1"#,
            r#"standin_attempts_total{model="one",outcome="answered",provider="a"} 1"#,
            r#"standin_attempts_total{model="two",outcome="unavailable",provider="b"} 1"#,
            "standin_overhead_seconds_count 3",
        ],
    );
    // What did not come whole says nothing of a token's time.
    holds(
        &told,
        &[
            r#"gen_ai_server_time_per_output_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="a",gen_ai_response_model="one"} 0"#,
            r#"gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="a",gen_ai_response_model="one"} 2"#,
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_says_is_left_is_told() {
    let left = Play::hello()
        .header("x-ratelimit-remaining-requests", "7")
        .header("x-ratelimit-reset-requests", "60s")
        .header("x-ratelimit-remaining-tokens", "9000")
        .header("x-ratelimit-reset-tokens", "60s");
    let inn = Inn::new(MODELS, &[("a/m", &[left])]);
    let came = inn.host(Trip::plain(&["one"])).await;
    let now_told = told(&inn, &[came]);
    holds(
        &now_told,
        &[
            r#"standin_ratelimit_remaining{kind="requests",model="one",provider="a"} 7"#,
            r#"standin_ratelimit_remaining{kind="tokens",model="one",provider="a"} 9000"#,
        ],
    );
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(!told(&inn, &[]).contains("standin_ratelimit_remaining{"));
}

#[tokio::test(start_paused = true)]
async fn of_two_homes_at_one_provider_the_worse_is_told() {
    let both = "models:
  both:
    targets:
      - { provider: a, upstream_model: m }
      - { provider: a, upstream_model: n }
";
    let left = |count: &'static str| {
        Play::hello()
            .header("x-ratelimit-remaining-requests", count)
            .header("x-ratelimit-reset-requests", "600s")
    };
    let limited = Play::error(429, "x").header("retry-after", "60");
    let inn = Inn::new(
        both,
        &[("a/m", &[left("7"), limited]), ("a/n", &[left("9")])],
    );
    let mut came = Vec::new();
    for _ in 0..2 {
        came.push(inn.host(Trip::plain(&["both"])).await);
    }
    assert_eq!(came[1].walk(), "both=429, both=200");
    let told = told(&inn, &came);
    holds(
        &told,
        &[
            r#"standin_attempts_total{model="both",outcome="answered",provider="a"} 2"#,
            r#"standin_target_state{model="both",provider="a",state="cooling"} 1"#,
            r#"standin_target_state{model="both",provider="a",state="healthy"} 0"#,
        ],
    );
    let remaining = told
        .lines()
        .filter(|line| line.starts_with("standin_ratelimit_remaining{"));
    let remaining: Vec<_> = remaining.collect();
    assert_eq!(remaining.len(), 1, "{remaining:?}");
    // Its own second home is no failover: the candidate answered.
    assert!(!told.contains("standin_failovers_total{"));
}

#[tokio::test(start_paused = true)]
async fn what_is_only_guessed_has_no_time_for_each_token() {
    let stream = Play::sse()
        .events([&*says("Hel")])
        .wait(Duration::from_secs(3))
        .events([&*says("lo and so on"), &finish("stop"), DONE]);
    let inn = Inn::new(MODELS, &[("a/m", &[stream])]);
    let came = inn.host(Trip::stream(&["one"])).await;
    let charged = came.receipt.charged.expect("an answer is charged");
    assert!(charged.estimated && charged.tokens.output > 1);
    let output = format!(
        r#"standin_tokens_total{{kind="output",model="one",provider="a"}} {}"#,
        charged.tokens.output
    );
    let told = told(&inn, &[came]);
    holds(
        &told,
        &[
            &output,
            r#"gen_ai_server_time_per_output_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="a",gen_ai_response_model="one"} 0"#,
        ],
    );
}
