//! What a key may spend.

use std::path::Path;

use serde_json::Value;
use standin::mock::{At, Gate, Mock, Reply, Script, Step, Usage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{CHAT, KEY, ask, bearer, entry, is_refused, keys, post};
use crate::house::{Folder, House, providers, soon};
use crate::talk::{Answer, Talk, chat};

/// A thousandth of a dollar for each token of the answer, and nothing for the
/// prompt: `max_tokens` alone is what is reserved.
const MODELS: &str = "models:\n  p/m: { provider: p, price: { input: 0, output: 1000 } }\n  \
                      p/cheap: { provider: p, price: { input: 0, output: 1 } }\n";

/// A plain chat request for these models whose answer may have so many
/// tokens.
fn up_to(max_tokens: u64, models: &[&str]) -> String {
    chat(models, false).replacen('{', &format!("{{\"max_tokens\":{max_tokens},"), 1)
}

/// Says that it used so many.
fn using(output: u64) -> Reply {
    Reply::answer("Hello").usage(Usage {
        input: 1000,
        output,
        ..Usage::default()
    })
}

fn team(usd: &str) -> String {
    let budget = format!(", budget: {{ usd: {usd}, per: month }}");
    keys(&[entry("team", KEY, &budget)])
}

fn is_spent(answer: &Answer) {
    is_refused(answer, 429, "budget");
    assert_eq!(answer.json()["error"]["type"], "insufficient_quota");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31 * 86_400).contains(&after), "{after}");
}

async fn spends(talk: &mut Talk, max_tokens: u64) -> Answer {
    post(talk, KEY, &up_to(max_tokens, &["p/m"])).await
}

#[tokio::test]
async fn a_budget_is_estimated_at_the_start_and_exact_at_the_end() {
    let mock = Mock::start(using(40)).await.unwrap();
    let more = MODELS.to_owned() + &team("0.22");
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    // 0.04 each, and the fourth's 0.10 just fit in.
    for _ in 0..4 {
        assert_eq!(spends(&mut talk, 100).await.status, 200);
    }
    is_spent(&spends(&mut talk, 61).await);
    assert_eq!(spends(&mut talk, 60).await.status, 200);
    is_spent(&spends(&mut talk, 21).await);
    assert_eq!(spends(&mut talk, 20).await.status, 200);
    // It answered with more than it was asked for: 0.24 are spent.
    is_spent(&spends(&mut talk, 1).await);
    is_spent(&post(&mut talk, KEY, &up_to(0, &["p/cheap"])).await);
    assert_eq!(mock.seen().len(), 6);
    let never = spends(&mut talk, 221).await;
    is_refused(&never, 429, "budget");
    assert_eq!(never.header("retry-after"), None);
    assert_eq!(never.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn what_fails_or_cannot_be_paid_costs_nothing() {
    let mock = Mock::start(Script::by_model([
        ("m", Reply::rejected()),
        ("cheap", using(1)),
    ]))
    .await
    .unwrap();
    let again =
        "  house/n: { provider: p, upstream_model: cheap, price: { input: 0, output: 1000 } }\n";
    let more = MODELS.to_owned() + again + &team("0.20");
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    for _ in 0..3 {
        assert_eq!(spends(&mut talk, 200).await.status, 400);
    }
    let both = up_to(300, &["p/m", "p/cheap"]);
    let answer = post(&mut talk, KEY, &both).await;
    let walk = "p/m=skipped:not_allowed, p/cheap=200";
    assert_eq!((answer.status, answer.walk()), (200, walk));
    assert_eq!(mock.asked("m"), 3);
    // What was reserved for the first is there for the second.
    let both = up_to(150, &["p/m", "house/n"]);
    let answer = post(&mut talk, KEY, &both).await;
    assert_eq!(
        (answer.status, answer.walk()),
        (200, "p/m=400, house/n=200")
    );
}

#[tokio::test]
async fn with_a_budget_what_has_no_price_is_not_allowed() {
    let mock = Mock::start(using(1)).await.unwrap();
    let free = entry("free", "another", "");
    let more = MODELS.to_owned() + &team("1") + &free;
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    let refused = ask(&mut talk, KEY, &["p/unpriced"]).await;
    is_refused(&refused, 403, "not_allowed");
    let body = up_to(1, &["p/unpriced", "p/m"]);
    let answer = post(&mut talk, KEY, &body).await;
    let walk = "p/unpriced=skipped:not_allowed, p/m=200";
    assert_eq!((answer.status, answer.walk()), (200, walk));
    assert_eq!(mock.asked("unpriced"), 0);
    let answer = ask(&mut talk, "another", &["p/unpriced"]).await;
    assert_eq!(answer.status, 200);
}

/// Sends one request on each of 64 connections while what passes is held, and
/// counts those that do. `passing` of them must.
async fn at_once(house: &House, mock: &Mock, gate: &Gate, body: &str, passing: usize) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut asking = JoinSet::new();
    for _ in 0..64 {
        let (mut talk, tell) = (house.talk().await, tell.clone());
        let body = body.to_owned();
        asking.spawn(async move {
            let lines = [&bearer(KEY)[..]];
            talk.request("POST", CHAT, &lines, body.as_bytes()).await;
            let answer = talk.answer().await;
            tell.send(answer.status).unwrap();
            if answer.status == 429 {
                is_spent(&answer);
            }
            answer.status
        });
    }
    for _ in passing..64 {
        assert_eq!(soon("a refusal", told.recv()).await, Some(429));
    }
    mock.wait_for(passing as u64).await;
    gate.open();
    let mut passed = 0;
    while let Some(status) = soon("an answer", asking.join_next()).await {
        passed += usize::from(status.unwrap() == 200);
    }
    assert_eq!((passed, mock.seen().len()), (passing, passing));
}

#[tokio::test]
async fn of_many_at_once_only_those_pass_that_can_be_paid() {
    let gate = Gate::new();
    let held = using(100).at(At::Start, Step::Hold(gate.clone()));
    let mock = Mock::start(held).await.unwrap();
    let more = MODELS.to_owned() + &team("0.59");
    let house = House::before(&[("p", &mock)], &more).await;
    at_once(&house, &mock, &gate, &up_to(100, &["p/m"]), 5).await;
    let mut talk = house.talk().await;
    assert_eq!(spends(&mut talk, 90).await.status, 200);
    is_spent(&spends(&mut talk, 1).await);
}

#[tokio::test]
async fn nothing_that_a_request_says_beside_makes_it_seem_cheap() {
    let text = "word ".repeat(800);
    for (more, passing) in [
        // A prompt of a thousand tokens that speaks of pictures.
        (format!("\"max_tokens\":0,\"user\":\";base64,{text}\","), 5),
        // The one of these that the provider does not know.
        ("\"max_output_tokens\":0,\"max_tokens\":1000,".to_owned(), 5),
        (
            "\"max_tokens\":1000,\"max_completion_tokens\":1,".to_owned(),
            5,
        ),
        // More than one answer.
        ("\"max_tokens\":500,\"n\":2,".to_owned(), 5),
        // A picture is no prose: what it costs is known at the end.
        (
            format!(
                "\"max_tokens\":550,\"user\":\"data:image/png;base64,{}\",",
                "iVBORw0K/+".repeat(4000)
            ),
            9,
        ),
    ] {
        let gate = Gate::new();
        let held = using(1000).at(At::Start, Step::Hold(gate.clone()));
        let mock = Mock::start(held).await.unwrap();
        let models = MODELS.replace("input: 0", "input: 1000");
        let house = House::before(&[("p", &mock)], &(models + &team("5.4"))).await;
        let body = chat(&["p/m"], false).replacen('{', &format!("{{{more}"), 1);
        at_once(&house, &mock, &gate, &body, passing).await;
    }
}

/// The ledger's rows.
async fn rows(house: &House) -> Vec<Value> {
    let rows = Talk::to(house.admin).await.get("/-/usage").await;
    assert_eq!(rows.status, 200);
    let text = rows.text();
    let rows = text.lines().map(|row| serde_json::from_str(row).unwrap());
    rows.collect()
}

fn on_ledger(path: &Path, mock: &Mock) -> String {
    let ledger = format!("ledger: {{ path: \"{}\" }}\n", path.display());
    providers(&[("p", mock)], &(ledger + MODELS + &team("0.22")))
}

#[tokio::test]
async fn what_was_spent_survives_the_process() {
    let mock = Mock::start(using(40)).await.unwrap();
    let folder = Folder::new();
    let yaml = on_ledger(&folder.file("usage.db"), &mock);
    for (life, signal) in ["TERM", "KILL", "KILL", "TERM"].into_iter().enumerate() {
        let mut house = House::start(&yaml).await;
        let mut talk = house.talk().await;
        // What is left for the fourth is 0.10.
        assert_eq!(spends(&mut talk, 100).await.status, 200, "{life}");
        let rows = rows(&house).await;
        assert_eq!(rows.len(), life + 1);
        assert!(rows.iter().all(|row| row["cost_usd"] == "0.04"), "{rows:?}");
        house.signal(signal);
        house.ended().await;
    }
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    is_spent(&spends(&mut talk, 61).await);
    assert_eq!(spends(&mut talk, 60).await.status, 200);
    assert_eq!(mock.seen().len(), 5);
}

#[tokio::test]
async fn a_stream_that_was_seen_to_its_end_is_paid_by_who_is_killed_then() {
    let mock = Mock::start(using(200)).await.unwrap();
    let folder = Folder::new();
    let yaml = on_ledger(&folder.file("usage.db"), &mock);
    let mut house = House::start(&yaml).await;
    let body = up_to(100, &["p/m"]).replacen('{', "{\"stream\":true,", 1);
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[&bearer(KEY)], body.as_bytes())
        .await;
    assert_eq!(soon("a head", talk.head()).await.0, 200);
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: [DONE]\n\n") {
        seen.extend(soon("an event", talk.chunk()).await.unwrap());
    }
    house.signal("KILL");
    house.ended().await;
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    is_spent(&spends(&mut talk, 21).await);
    assert_eq!(spends(&mut talk, 20).await.status, 200);
}
