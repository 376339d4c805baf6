//! Every failure of a scripted provider as the first candidate: it falls over
//! to the second, plain and streamed, and the trail says what it was.

use standin::mock::{Greeting, Mock, Reply, Script, failures};
use tokio::task::JoinSet;

use crate::house::{House, soon};
use crate::talk::{Answer, Talk};

/// What a failure comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// It answers all the same.
    Answers,
    /// It breaks after commit.
    Cut,
    /// It falls over, with this word in the trail.
    Falls(&'static str),
}

/// What each failure comes to: plain, and streamed.
fn expected(name: &str) -> (Is, Is) {
    let both = |word| (Is::Falls(word), Is::Falls(word));
    match name {
        "rate limited"
        | "rate limited, no time said"
        | "quota exceeded"
        | "gemini rate limited"
        | "early and unread" => both("429"),
        "internal error" => both("500"),
        "bad gateway" => both("502"),
        "unavailable" | "stale afterwards" => both("503"),
        "overloaded" => both("529"),
        "rejected" | "context length" | "moderated" | "azure moderated" => both("400"),
        "auth" => both("401"),
        "payment required" => both("402"),
        "forbidden" | "openrouter moderated" => both("403"),
        "model not found" => both("404"),
        "error in a 200"
        | "rate limit in a 200"
        | "empty 200"
        | "non-JSON 200"
        | "no body"
        | "length too short" => both("bad_answer"),
        "filtered 200" => both("moderated"),
        "no HTTP"
        | "cut before the head"
        | "reset before the head"
        | "cut after the head"
        | "reset after the head"
        | "cut after the first event"
        | "reset after the first event"
        | "cut inside a chunk"
        | "reset inside a chunk"
        | "bad chunk size"
        | "two lengths" => both("reset"),
        // A stream's end is `[DONE]`, whatever its framing does then.
        "cut before the last chunk" | "length too long" => (Is::Falls("reset"), Is::Answers),
        "cut after the first words" | "reset after the first words" => {
            (Is::Falls("reset"), Is::Cut)
        }
        "stream ends after the first event" => (Is::Answers, Is::Falls("bad_answer")),
        "stream ends without finish" => (Is::Answers, Is::Cut),
        "silent"
        | "silent after the head"
        | "silent after the first event"
        | "silent inside a chunk" => both("timeout"),
        "silent after the first words" => (Is::Falls("timeout"), Is::Cut),
        other => panic!("{other:?} is expected to come to nothing yet"),
    }
}

const BACKUP: &str = "the backup answers";

fn check(name: &str, stream: bool, answer: &Answer) {
    let (plain, streamed) = expected(name);
    let is = if stream { streamed } else { plain };
    let context = format!("{name}, stream={stream}: {is:?}, walk {}", answer.walk());
    assert_eq!(answer.status, 200, "{context}");
    assert!(answer.whole, "{context}");
    // A comma within a name would part the walk.
    let in_walk = name.replace(',', "%2C");
    let walk = match is {
        Is::Falls(word) => format!("bad/{in_walk}={word}, good/m=200"),
        Is::Answers | Is::Cut => format!("bad/{in_walk}=200"),
    };
    assert_eq!(answer.walk(), walk, "{context}");
    let model = match is {
        Is::Falls(_) => "good/m".to_owned(),
        Is::Answers | Is::Cut => format!("bad/{name}"),
    };
    assert_eq!(answer.header("x-standin-model"), Some(&*model), "{context}");
    if !stream {
        assert_eq!(answer.json()["model"], model, "{context}");
        return;
    }
    let events = answer.events();
    let (last, said) = events.split_last().expect("events");
    if is == Is::Cut {
        let error: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["error"]["code"], "upstream_cut", "{context}");
    } else {
        assert_eq!(last, "[DONE]", "{context}");
    }
    for event in said {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["model"], *model, "{context}");
        assert!(event.get("error").is_none(), "{context}");
    }
    if matches!(is, Is::Falls(_)) {
        let text: String = said
            .iter()
            .filter_map(|event| {
                let event: serde_json::Value = serde_json::from_str(event).unwrap();
                event["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(text, BACKUP, "{context}");
    }
}

async fn walk_all(wanted: impl Fn(&str) -> bool, more: &str) {
    let all = failures();
    let script = all.iter().map(|(name, reply)| (*name, reply.clone()));
    let bad = Mock::start(Script::by_model(script)).await.unwrap();
    let good = Mock::start(Reply::answer(BACKUP)).await.unwrap();
    let mut walks = JoinSet::new();
    for (name, _) in all.into_iter().filter(|(name, _)| wanted(name)) {
        for stream in [false, true] {
            // Each in a house of its own: nothing is remembered of the others.
            let house = House::before(&[("bad", &bad), ("good", &good)], more).await;
            walks.spawn(async move { walk(house.talk().await, name, stream).await });
        }
    }
    let count = walks.len();
    assert_eq!(walks.join_all().await.len(), count);
}

async fn walk(mut talk: Talk, name: &'static str, stream: bool) {
    let model = format!("bad/{name}");
    let answer = talk.chat(&[&model, "good/m"], stream).await;
    check(name, stream, &answer);
}

#[tokio::test]
async fn every_failure_falls_over_and_is_called_by_its_name() {
    // An answer before the request's body needs a script that decides without it.
    let wanted = |name: &str| !name.starts_with("silent") && name != "early and unread";
    walk_all(wanted, "").await;
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_falls_over() {
    let early = Reply::rate_limited(None).unread();
    let bad = Mock::start(early).await.unwrap();
    let good = Mock::start(Reply::answer(BACKUP)).await.unwrap();
    for stream in [false, true] {
        let house = House::before(&[("bad", &bad), ("good", &good)], "").await;
        walk(house.talk().await, "early and unread", stream).await;
    }
}

#[tokio::test]
async fn every_silence_falls_over() {
    let soon = "failover: { first_token_timeout: 1s, answer_timeout: 1s, idle_timeout: 1s }\n";
    walk_all(|name| name.starts_with("silent"), soon).await;
}

#[tokio::test]
async fn a_refused_connection_falls_over() {
    let refused = Mock::refused().unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::start(&format!(
        "providers:\n  bad: {{ base_url: \"{}\" }}\n  good: {{ base_url: \"{}\" }}\n",
        refused.base_url(),
        good.base_url()
    ))
    .await;
    for stream in [false, true] {
        let answer = house.talk().await.chat(&["bad/m", "good/m"], stream).await;
        assert_eq!(answer.walk(), "bad/m=connect, good/m=200");
    }
    let answer = house.talk().await.chat(&["bad/m"], false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unavailable")
    );
}

#[tokio::test]
async fn a_connection_closed_unread_falls_over() {
    for greeting in [Greeting::Close, Greeting::Reset] {
        let script = Script::from(Reply::answer("never")).greet(move |_| greeting);
        let bad = Mock::start(script).await.unwrap();
        let good = Mock::start(Reply::answer("Hello")).await.unwrap();
        let house = House::before(&[("bad", &bad), ("good", &good)], "").await;
        let answer = house.talk().await.chat(&["bad/m", "good/m"], true).await;
        // Which of the two it is depends on who is quicker.
        let walk = answer.walk().replace("=connect", "=reset");
        assert_eq!(walk, "bad/m=reset, good/m=200", "{greeting:?}");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_no_failure() {
    let script = Script::from(Reply::answer("Hello")).stale_after(1);
    let mock = Mock::start(script).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    for turn in 0..3 {
        let answer = house.talk().await.chat(&["a/m"], turn % 2 == 1).await;
        assert_eq!((answer.status, answer.walk()), (200, "a/m=200"));
    }
    assert_eq!(mock.seen().len(), 3);
    assert!(mock.counts().stale >= 1, "a stale connection was met");
}

#[tokio::test]
async fn odd_heads_are_no_answers() {
    for (odd, word) in [
        (Reply::json(204, ""), "bad_answer"),
        (
            Reply::json(302, "").header("location", "http://127.0.0.1:1/"),
            "bad_answer",
        ),
        (Reply::json(304, ""), "bad_answer"),
        (
            Reply::answer("x").header("content-encoding", "gzip"),
            "bad_answer",
        ),
    ] {
        let bad = Mock::start(odd.clone()).await.unwrap();
        let good = Mock::start(Reply::answer("Hello")).await.unwrap();
        let house = House::before(&[("bad", &bad), ("good", &good)], "").await;
        for stream in [false, true] {
            let answer = house.talk().await.chat(&["bad/m", "good/m"], stream).await;
            assert_eq!(
                answer.walk(),
                format!("bad/m={word}, good/m=200"),
                "{odd:?}"
            );
        }
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let early = Reply::answer("Hello")
        .interim(103, &[("link", "</x>; rel=preload")])
        .interim(100, &[]);
    let mock = Mock::start(early).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    for stream in [false, true] {
        let mut talk = house.talk().await;
        let body = crate::talk::chat(&["a/m"], stream);
        talk.request(
            "POST",
            "/v1/chat/completions",
            &["content-type: application/json"],
            body.as_bytes(),
        )
        .await;
        let (status, headers) = soon("a head", talk.head()).await;
        assert_eq!(
            status, 200,
            "no interim answer of the provider's reaches the client"
        );
        assert!(!headers.iter().any(|(name, _)| name == "link"));
    }
}
