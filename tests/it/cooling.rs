//! Who is rate limited, refuses our credential or does not have the model is
//! passed over, and nobody else is.

use serde_json::{Value, json};
use standin::mock::{At, Gate, Mock, Reply, Script, Step};
use tokio::task::JoinSet;

use crate::house::{House, providers, soon};
use crate::http2::H2;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// So long that nothing in a test waits for its end.
const LONG: &str = "health: { cooldown: 1h, max_cooldown: 1h }\n";

#[tokio::test]
async fn a_rate_limited_target_is_not_asked_again() {
    let busy = Mock::start(Reply::rate_limited(Some("30"))).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("busy", &busy), ("good", &good)], "").await;
    let models = ["busy/m", "good/m"];
    let first = house.talk().await.chat(&models, false).await;
    assert_eq!(first.walk(), "busy/m=429, good/m=200");
    let connections = busy.connections();
    let h2 = H2::to(house.at).await;
    for stream in [false, true] {
        let answer = house.talk().await.chat(&models, stream).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.walk(), "busy/m=skipped:cooling, good/m=200");
        assert_eq!(answer.header("x-standin-model"), Some("good/m"));
        assert_eq!(answer.header("retry-after"), None);
        if stream {
            assert_eq!(answer.events().pop().unwrap(), "[DONE]");
        } else {
            assert_eq!(answer.json()["model"], "good/m");
        }
        let answer = h2.chat(&models, stream).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.walk(), "busy/m=skipped:cooling, good/m=200");
    }
    assert_eq!((busy.seen().len(), busy.connections()), (1, connections));
    // The same provider's other models are asked: the limit is the model's.
    let other = house.talk().await.chat(&["busy/m2", "good/m"], false).await;
    assert_eq!(other.walk(), "busy/m2=429, good/m=200");
}

#[tokio::test]
async fn a_skip_and_the_last_resort_stand_in_the_final_error() {
    let script = Script::sequence([
        Reply::rate_limited(Some("40")),
        Reply::rate_limited(Some("30")),
    ]);
    let busy = Mock::start(script).await.unwrap();
    let bad = Mock::start(Reply::internal_error()).await.unwrap();
    let house = House::before(&[("busy", &busy), ("bad", &bad)], "").await;
    let models = ["busy/m", "nowhere", "bad/m"];
    let alone = house.talk().await.chat(&models[..1], false).await;
    assert_eq!((alone.status, alone.walk()), (429, "busy/m=429"));
    assert_eq!(alone.header("retry-after"), Some("40"));
    let mut talk = house.talk().await;
    let answer = talk.chat(&models, false).await;
    let walk = "busy/m=skipped:cooling, nowhere=skipped:unknown, bad/m=500, busy/m=429";
    assert_eq!((answer.status, answer.walk()), (429, walk));
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let mut attempts = answer.json()["attempts"].clone();
    for attempt in attempts.as_array_mut().unwrap() {
        if let Some(ms) = attempt.as_object_mut().unwrap().remove("ms") {
            assert!(ms.is_u64());
        }
    }
    let expected = json!([
        {"model": "busy/m", "provider": "busy", "outcome": "skipped", "reason": "cooling"},
        {"model": "nowhere", "provider": null, "outcome": "skipped", "reason": "unknown"},
        {"model": "bad/m", "provider": "bad", "outcome": "unavailable", "status": 500},
        {"model": "busy/m", "provider": "busy", "outcome": "rate_limited", "status": 429,
         "last_resort": true, "code": "rate_limit_exceeded"},
    ]);
    let mut wanted = expected.as_array().unwrap().clone();
    // What a provider calls it is its own affair, but for the rate limit.
    for (attempt, wanted) in attempts.as_array().unwrap().iter().zip(&mut wanted) {
        if wanted.get("code").is_none()
            && let Some(code) = attempt.get("code")
        {
            wanted["code"] = code.clone();
        }
    }
    assert_eq!(attempts, Value::Array(wanted));
    assert_eq!(busy.seen().len(), 2);
}

#[tokio::test]
async fn at_most_eight_at_a_time_try_against_all_odds() {
    let gate = Gate::new();
    let words = "what another client was told";
    let first = json!({"error": {"message": words, "code": words}}).to_string();
    let script = Script::sequence([
        Reply::json(429, first).header("retry-after", "30"),
        Reply::answer("Hello").at(At::Start, Step::Hold(gate.clone())),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let answer = house.talk().await.chat(&["p/m"], false).await;
    assert!(answer.text().contains(words));
    let mut clients = JoinSet::new();
    for client in 0..40 {
        let mut talk = house.talk().await;
        clients.spawn(async move { talk.chat(&["p/m"], client % 2 == 0).await });
    }
    for _ in 0..32 {
        let answer = soon("an answer", clients.join_next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.walk(), "p/m=skipped:cooling, p/m=429");
        assert!(!answer.text().contains(words));
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&after), "{after}");
        let body = answer.json();
        assert!(body["error"]["message"].is_string());
        assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string());
        assert_eq!(body["attempts"][1]["outcome"], "rate_limited");
        assert_eq!(body["attempts"][1]["status"], 429);
        assert_eq!(body["attempts"][1]["last_resort"], true);
    }
    soon("the eight", mock.wait_for(9)).await;
    assert_eq!(mock.seen().len(), 9);
    gate.open();
    while let Some(answer) = soon("an answer", clients.join_next()).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.walk(), "p/m=skipped:cooling, p/m=200");
    }
    assert_eq!(mock.seen().len(), 9);
    // They were no probes: the provider's own time still holds.
    assert_eq!(house.target("p/m").await["state"], "cooling");
    // The places are free again.
    for _ in 0..9 {
        let answer = house.talk().await.chat(&["p/m"], false).await;
        assert_eq!(answer.walk(), "p/m=skipped:cooling, p/m=200");
    }
}

#[tokio::test]
async fn a_target_with_nothing_left_is_not_asked_until_its_window_ends() {
    let empty = Reply::answer("Hello")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "300ms");
    let script = Script::sequence([empty, Reply::answer("Hello")]);
    let mock = Mock::start(script).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock), ("good", &good)], "").await;
    let mut talk = house.talk().await;
    let models = ["p/m", "good/m"];
    assert_eq!(talk.chat(&models, false).await.walk(), "p/m=200");
    let told = house.target("p/m").await;
    let quota = "p/m=skipped:quota, good/m=200";
    // Unless the window has ended by now.
    if told["state"] == "cooling" {
        assert_eq!(
            (&told["held_by"], &told["why"]),
            (&json!("quota"), &json!("quota"))
        );
        assert_eq!(told["remaining"]["requests"], 0);
    }
    house.asks_until(&models, "p/m=200", &[quota]).await;
    assert_eq!(mock.seen().len(), 2);
    let empty = Reply::answer("Hello")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "1h");
    mock.play(empty);
    assert_eq!(talk.chat(&models, true).await.walk(), "p/m=200");
    for stream in [false, true] {
        let answer = talk.chat(&models, stream).await;
        assert_eq!(answer.walk(), quota);
    }
    assert_eq!(mock.seen().len(), 3);
    assert_eq!(talk.chat(&["p/m2"], false).await.walk(), "p/m2=200");
}

#[tokio::test]
async fn a_refused_credential_holds_for_all_models_of_its_provider() {
    for refusal in [Reply::auth(), Reply::payment_required()] {
        let shut = Mock::start(refusal).await.unwrap();
        let good = Mock::start(Reply::answer("Hello")).await.unwrap();
        let house = House::before(&[("shut", &shut), ("good", &good)], LONG).await;
        let mut talk = house.talk().await;
        let first = talk.chat(&["shut/a", "good/m"], false).await;
        assert!(first.walk().starts_with("shut/a=40"), "{}", first.walk());
        for model in ["shut/a", "shut/b"] {
            let answer = talk.chat(&[model, "good/m"], true).await;
            let walk = format!("{model}=skipped:credential, good/m=200");
            assert_eq!(answer.walk(), walk);
        }
        let body = r#"{"model":"shut/c","models":["good/m"],"input":"Hello"}"#;
        let answer = talk.post("/v1/embeddings", body).await;
        assert_eq!(answer.walk(), "shut/c=skipped:credential, good/m=200");
        assert_eq!(shut.seen().len(), 1);
        let told = house.provider("shut").await;
        assert_eq!(told["credential"]["state"], "cooling");
        assert_eq!(told["connection"]["state"], "healthy");
        assert_eq!(told["last_error"]["outcome"], "auth");
    }
}

#[tokio::test]
async fn a_missing_model_is_passed_over_on_its_endpoint_only() {
    for (refusal, status) in [(Reply::model_not_found(), 404), (Reply::forbidden(), 403)] {
        let script = Script::new(move |seen| {
            if seen.model() == Some("a") && seen.path() == CHAT {
                refusal.clone()
            } else {
                Reply::answer("Hello")
            }
        });
        let part = Mock::start(script).await.unwrap();
        let good = Mock::start(Reply::answer("Hello")).await.unwrap();
        let house = House::before(&[("part", &part), ("good", &good)], LONG).await;
        let mut talk = house.talk().await;
        let first = talk.chat(&["part/a", "good/m"], false).await;
        assert_eq!(first.walk(), format!("part/a={status}, good/m=200"));
        let again = talk.chat(&["part/a", "good/m"], true).await;
        assert_eq!(again.walk(), "part/a=skipped:cooling, good/m=200");
        let other = talk.chat(&["part/b", "good/m"], false).await;
        assert_eq!(other.walk(), "part/b=200");
        let body = r#"{"model":"part/a","models":["good/m"],"input":"Hello"}"#;
        let embedded = talk.post("/v1/embeddings", body).await;
        assert_eq!(embedded.walk(), "part/a=200");
        let again = talk.chat(&["part/a", "good/m"], false).await;
        assert_eq!(again.walk(), "part/a=skipped:cooling, good/m=200");
        assert_eq!(part.asked("a"), 2);
        let told = house.target("part/a").await;
        assert_eq!(told["state"], "healthy");
        assert_eq!(told["endpoints"]["chat/completions"]["state"], "cooling");
        assert_eq!(told["endpoints"].as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn refused_connections_hold_for_all_models_of_their_provider() {
    let refused = Mock::refused().unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = format!("  gone: {{ base_url: \"{}\" }}\n{LONG}", refused.base_url());
    let house = House::start(&providers(&[("good", &good)], &more)).await;
    let mut talk = house.talk().await;
    for model in ["gone/a", "gone/b", "gone/c", "gone/a", "gone/b"] {
        let answer = talk.chat(&[model, "good/m"], false).await;
        assert_eq!(answer.walk(), format!("{model}=connect, good/m=200"));
    }
    for model in ["gone/a", "gone/never asked for"] {
        let answer = talk.chat(&[model, "good/m"], true).await;
        assert_eq!(answer.walk(), format!("{model}=skipped:open, good/m=200"));
    }
    assert_eq!(house.lines("provider gone is open").await, 1);
}

/// Answers who brings the new key, and nobody else.
fn wants(key: &'static str) -> Script {
    Script::new(move |seen| {
        if seen.header("authorization") == Some(key) {
            Reply::answer("Hello")
        } else {
            Reply::auth()
        }
    })
}

const SKIPPED: &str = "p/m=skipped:credential, good/m=200";

/// Makes `p`'s credential known as refused.
async fn refused(house: &House, mock: &Mock) {
    let mut talk = house.talk().await;
    let first = talk.chat(&["p/m", "good/m"], false).await;
    assert_eq!(first.walk(), "p/m=401, good/m=200");
    let second = talk.chat(&["p/m", "good/m"], false).await;
    assert_eq!(second.walk(), SKIPPED);
    assert_eq!(mock.seen().len(), 1);
}

async fn reload(house: &House) {
    let told = Talk::to(house.admin).await.post("/-/reload", "").await;
    assert_eq!(told.status, 200, "{}", told.text());
}

#[tokio::test]
async fn a_rotated_credential_file_is_tried_at_once() {
    let mock = Mock::start(wants("Bearer new-key")).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let folder = crate::house::Folder::new();
    let file = folder.write("key", "old-key\n");
    let more = format!(
        "  p: {{ base_url: \"{}\", api_key_file: {} }}\n{LONG}",
        mock.base_url(),
        file.display()
    );
    let yaml = providers(&[("good", &good)], &more);
    for reloads in [false, true] {
        folder.write("key", "old-key\n");
        mock.play(wants("Bearer new-key"));
        let house = House::start(&yaml).await;
        let before = mock.counts().seen;
        let mut talk = house.talk().await;
        let first = talk.chat(&["p/m", "good/m"], false).await;
        assert_eq!(first.walk(), "p/m=401, good/m=200");
        // Of another length, so that it is seen to differ within one tick of
        // the file system's clock.
        folder.write("key", "new-key\n\n");
        if reloads {
            reload(&house).await;
        }
        let models = ["p/m", "good/m"];
        house.asks_until(&models, "p/m=200", &[SKIPPED]).await;
        assert_eq!(mock.counts().seen - before, 2);
        let told = house.provider("p").await;
        assert_eq!(told["credential"]["state"], "healthy");
        assert!(!house.log().concat().contains("-key\n"));
    }
}

#[tokio::test]
async fn another_credential_by_a_reload_is_tried_at_once() {
    let mock = Mock::start(wants("Bearer new-key")).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let with = |key: &str| {
        let more = format!(
            "  p: {{ base_url: \"{}\", api_key: {key} }}\n",
            mock.base_url()
        );
        providers(&[("good", &good)], &format!("{more}{LONG}"))
    };
    let house = House::start(&with("old-key")).await;
    refused(&house, &mock).await;
    // A reload that changes nothing changes nothing.
    reload(&house).await;
    let mut talk = house.talk().await;
    assert_eq!(talk.chat(&["p/m", "good/m"], false).await.walk(), SKIPPED);
    house.rewrite(&with("new-key"));
    reload(&house).await;
    assert_eq!(talk.chat(&["p/m", "good/m"], false).await.walk(), "p/m=200");
    assert_eq!(house.provider("p").await["credential"]["state"], "healthy");
}

#[tokio::test]
async fn what_is_known_survives_a_reload_where_the_target_stays() {
    let busy = Mock::start(Reply::rate_limited(Some("30"))).await.unwrap();
    let moved = Mock::start(Reply::answer("Hello")).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let homes = "models:\n  house/best: { provider: p, upstream_model: best }\n";
    let house = House::before(&[("p", &busy), ("good", &good)], homes).await;
    let mut talk = house.talk().await;
    for model in ["p/m", "house/best"] {
        let answer = talk.chat(&[model, "good/m"], false).await;
        assert_eq!(answer.walk(), format!("{model}=429, good/m=200"));
    }
    // Under another name, beside another provider, with another time limit.
    let more = "  new: { base_url: \"http://127.0.0.1:1/v1\" }\n\
                models:\n  house/renamed: { provider: p, upstream_model: best }\n  \
                p/m: { provider: p, upstream_model: m }\nfailover: { answer_timeout: 7s }\n";
    house.rewrite(&providers(&[("good", &good), ("p", &busy)], more));
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    for model in ["p/m", "house/renamed", "p/best"] {
        let answer = talk.chat(&[model, "good/m"], false).await;
        assert_eq!(
            answer.walk(),
            format!("{model}=skipped:cooling, good/m=200")
        );
    }
    let told = house.target("house/renamed").await;
    assert_eq!(told["state"], "cooling");
    assert_eq!(told["why"], "rate_limited");
    assert_eq!(house.lines(" is cooling for ").await, 2);
    assert_eq!(busy.seen().len(), 2);
    // Another address is another place.
    house.rewrite(&providers(&[("good", &good), ("p", &moved)], homes));
    reload(&house).await;
    for model in ["p/m", "house/best"] {
        let answer = talk.chat(&[model, "good/m"], false).await;
        assert_eq!(answer.walk(), format!("{model}=200"));
    }
    assert_eq!((busy.seen().len(), moved.seen().len()), (2, 2));
}

#[tokio::test]
async fn what_a_request_of_before_a_reload_finds_out_is_known_after_it() {
    let gate = Gate::new();
    let held = Reply::rate_limited(Some("30")).at(At::Start, Step::Hold(gate.clone()));
    let busy = Mock::start(held).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let both = [("busy", &busy), ("good", &good)];
    let house = House::before(&both, "").await;
    let mut talk = house.talk().await;
    let body = chat(&["busy/m", "good/m"], false);
    let json = ["content-type: application/json"];
    talk.request("POST", CHAT, &json, body.as_bytes()).await;
    soon("the request", busy.wait_for(1)).await;
    house.rewrite(&providers(&both, "failover: { answer_timeout: 7s }\n"));
    reload(&house).await;
    gate.open();
    assert_eq!(talk.answer().await.walk(), "busy/m=429, good/m=200");
    let answer = talk.chat(&["busy/m", "good/m"], false).await;
    assert_eq!(answer.walk(), "busy/m=skipped:cooling, good/m=200");
}
