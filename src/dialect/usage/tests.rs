//! Each provider's `usage`, as its documentation or a captured answer has it.

use super::*;

/// Input, cached, cache write, input audio; output, reasoning, output audio.
fn read(usage: &str) -> Option<([u64; 4], [u64; 3])> {
    json::value(usage.as_bytes()).unwrap();
    tokens(usage.as_bytes()).map(|t| {
        (
            [t.input, t.cached, t.cache_write, t.input_audio],
            [t.output, t.reasoning, t.output_audio],
        )
    })
}

fn is(usage: &str, input: [u64; 4], output: [u64; 3]) {
    assert_eq!(read(usage), Some((input, output)), "{usage}");
}

#[test]
fn openai_counts_parts_in_their_whole() {
    is(
        r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        [2006, 1920, 0, 0],
        [300, 128, 0],
    );
    is(
        r#"{"input_tokens":18014,"input_tokens_details":{"cache_write_tokens":18011,"cached_tokens":0},"output_tokens":42,"output_tokens_details":{"reasoning_tokens":25},"total_tokens":18056}"#,
        [18014, 0, 18011, 0],
        [42, 25, 0],
    );
    is(
        r#"{"prompt_tokens":100,"completion_tokens":80,"total_tokens":180,"prompt_tokens_details":{"audio_tokens":60,"cached_tokens":0},"completion_tokens_details":{"audio_tokens":50,"reasoning_tokens":0,"text_tokens":30}}"#,
        [100, 0, 0, 60],
        [80, 0, 50],
    );
}

#[test]
fn embeddings_have_no_output() {
    is(
        r#"{"prompt_tokens":8,"total_tokens":8}"#,
        [8, 0, 0, 0],
        [0, 0, 0],
    );
    // Only a total, as some servers have it.
    is(r#"{"total_tokens":8}"#, [8, 0, 0, 0], [0, 0, 0]);
}

#[test]
fn anthropic_counts_the_cache_beside_the_input() {
    is(
        r#"{"input_tokens":21,"cache_creation_input_tokens":188,"cache_read_input_tokens":1800,"output_tokens":393}"#,
        [2009, 1800, 188, 0],
        [393, 0, 0],
    );
    // Its OpenAI-compatible address says nothing of the cache.
    is(
        r#"{"prompt_tokens":21,"completion_tokens":3,"total_tokens":24,"prompt_tokens_details":null,"completion_tokens_details":null}"#,
        [21, 0, 0, 0],
        [3, 0, 0],
    );
    // A gateway that counts the cache in, and one that does not.
    let in_it = r#"{"prompt_tokens":2009,"completion_tokens":3,"total_tokens":2012,"cache_creation_input_tokens":188,"cache_read_input_tokens":1800,"prompt_tokens_details":{"cached_tokens":1800}}"#;
    is(in_it, [2009, 1800, 188, 0], [3, 0, 0]);
    let beside = r#"{"prompt_tokens":21,"completion_tokens":3,"total_tokens":2012,"cache_creation_input_tokens":188,"cache_read_input_tokens":1800}"#;
    is(beside, [2009, 1800, 188, 0], [3, 0, 0]);
    let named = r#"{"input_tokens":2009,"output_tokens":3,"total_tokens":2012,"cache_read_input_tokens":1800}"#;
    is(named, [2009, 1800, 0, 0], [3, 0, 0]);
}

#[test]
fn thoughts_beside_the_output_are_added_to_it() {
    // xAI, github.com/Wei-Shaw/sub2api/issues/5771
    is(
        r#"{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"prompt_tokens_details":{"cached_tokens":128},"completion_tokens_details":{"reasoning_tokens":2809}}"#,
        [10120, 128, 0, 0],
        [4308, 2809, 0],
    );
    // Gemini, github.com/mozilla-ai/any-llm/issues/1290
    is(
        r#"{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}"#,
        [20, 0, 0, 0],
        [603, 405, 0],
    );
    // Gemini that thought and said nothing
    is(
        r#"{"completion_tokens":0,"total_tokens":81,"prompt_tokens":21}"#,
        [21, 0, 0, 0],
        [60, 60, 0],
    );
    // Without a total: what is more than the output is not among it.
    is(
        r#"{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":317}}"#,
        [1, 0, 0, 0],
        [319, 317, 0],
    );
}

#[test]
fn others_have_names_of_their_own() {
    for usage in [
        // DeepSeek
        r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#,
        // Moonshot, Together
        r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"cached_tokens":64}"#,
        // Mistral
        r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"prompt_audio_seconds":null,"num_cached_tokens":64}"#,
        // Groq
        r#"{"queue_time":0.04,"prompt_tokens":100,"prompt_time":0.1,"completion_tokens":7,"completion_time":0.2,"total_tokens":107,"total_time":0.3,"prompt_tokens_details":{"cached_tokens":64}}"#,
        // OpenRouter
        r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"cost":0.0012,"is_byok":false,"prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":0,"audio_tokens":0,"video_tokens":0},"cost_details":{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":0,"image_tokens":0}}"#,
        // Escaped names are the same names.
        r#"{"prompt\u005ftokens":100,"completion_tokens":7,"cached_tokens":64}"#,
    ] {
        is(usage, [100, 64, 0, 0], [7, 0, 0]);
    }
    // Cohere, vLLM
    for usage in [
        r#"{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107}"#,
        r#"{"prompt_tokens":100,"total_tokens":107,"completion_tokens":7,"prompt_tokens_details":null}"#,
    ] {
        is(usage, [100, 0, 0, 0], [7, 0, 0]);
    }
}

#[test]
fn a_zero_is_a_zero_and_nothing_is_nothing() {
    is(
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        [0; 4],
        [0; 3],
    );
    is(r#"{"completion_tokens":0}"#, [0; 4], [0; 3]);
    for usage in [
        "null",
        "{}",
        "[]",
        "7",
        "\"x\"",
        r#"{"cost":0.5}"#,
        r#"{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}"#,
        r#"{"prompt_tokens":"12"}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":5}}"#,
    ] {
        assert_eq!(read(usage), None, "{usage}");
    }
}

#[test]
fn absurd_counts_harm_nothing() {
    let most = u64::MAX;
    // Cached ones are no more than there are, and parts do not overlap.
    is(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":99,"cache_write_tokens":9,"audio_tokens":9},"completion_tokens_details":{"reasoning_tokens":50,"audio_tokens":60}}"#,
        [10, 10, 0, 0],
        [5, 5, 5],
    );
    is(
        r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":4,"audio_tokens":9}}"#,
        [10, 4, 4, 2],
        [5, 0, 0],
    );
    // No counts at all are as if they were not there.
    for none in [
        "-3",
        "2.5",
        "1e3",
        "18446744073709551616",
        "\"4\"",
        "true",
        "[4]",
    ] {
        let usage =
            format!(r#"{{"prompt_tokens":{none},"completion_tokens":5,"total_tokens":12}}"#);
        is(&usage, [7, 0, 0, 0], [5, 0, 0]);
        let usage = format!(r#"{{"prompt_tokens":{none}}}"#);
        assert_eq!(read(&usage), None, "{usage}");
    }
    is(
        r#"{"prompt_tokens":12.0,"completion_tokens":5.00}"#,
        [12, 0, 0, 0],
        [5, 0, 0],
    );
    // A total below its parts says nothing.
    is(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}"#,
        [10, 0, 0, 0],
        [5, 0, 0],
    );
    is(
        &format!(
            r#"{{"input_tokens":{most},"cache_read_input_tokens":{most},"output_tokens":{most},"total_tokens":1}}"#
        ),
        [most, most, 0, 0],
        [most, 0, 0],
    );
    // Of two members of one name the last counts, unless it is none.
    is(
        r#"{"prompt_tokens":1,"prompt_tokens":2,"prompt_tokens":null,"completion_tokens":3}"#,
        [2, 0, 0, 0],
        [3, 0, 0],
    );
}

#[test]
fn whatever_stands_there_the_parts_fit_their_whole() {
    let names = [
        "prompt_tokens",
        "input_tokens",
        "completion_tokens",
        "output_tokens",
        "total_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "reasoning_tokens",
    ];
    let counts = [
        "0",
        "1",
        "7",
        "100",
        "-1",
        "0.5",
        "18446744073709551615",
        "null",
    ];
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    };
    let mut known = 0;
    for _ in 0..20_000 {
        let mut members: Vec<String> = (0..next(6))
            .map(|_| format!("\"{}\":{}", names[next(10)], counts[next(8)]))
            .collect();
        let (a, b, c) = (counts[next(8)], counts[next(8)], counts[next(8)]);
        members.push(format!(
            r#""prompt_tokens_details":{{"cached_tokens":{a},"cache_write_tokens":{b},"audio_tokens":{c}}}"#
        ));
        members.push(format!(
            r#""output_tokens_details":{{"reasoning_tokens":{b},"audio_tokens":{a}}}"#
        ));
        let usage = format!("{{{}}}", members.join(","));
        if let Some(t) = tokens(usage.as_bytes()) {
            known += 1;
            let parts = [t.cached, t.cache_write, t.input_audio];
            let sum: u128 = parts.into_iter().map(u128::from).sum();
            assert!(sum <= u128::from(t.input), "{usage} {t:?}");
            assert!(t.reasoning <= t.output, "{usage} {t:?}");
            assert!(t.output_audio <= t.output, "{usage} {t:?}");
        }
    }
    assert!(known > 10_000);
}

#[test]
fn only_tiers_with_prices_of_their_own_are_named() {
    for (value, tier) in [
        (r#""flex""#, Some("flex")),
        (r#""priority""#, Some("priority")),
        (r#""fast""#, Some("priority")),
        (r#""batch""#, Some("batch")),
        (r#""default""#, None),
        (r#""on_demand""#, None),
        ("null", None),
        ("3", None),
    ] {
        assert_eq!(service_tier(value.as_bytes()), tier, "{value}");
    }
}
