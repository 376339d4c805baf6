//! Clients' keys: who comes in, what they may use, and that nobody else learns
//! the key.

mod budgets;
mod limits;
mod reloads;

use standin::config::Digest;
use standin::mock::{Mock, Reply, Script};
use tokio::process::Command;

use crate::house::{Folder, House, soon};
use crate::http2::H2;
use crate::known::Looks;
use crate::talk::{Answer, Talk, chat};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "sk-standin-0a1b2c3d4e5f-the-client-s-own";
const WRONG: &str = "sk-standin-ffffffffffff-nobody-s";

/// A key's entry, with more members behind it.
fn entry(name: &str, key: &str, more: &str) -> String {
    let sha256 = Digest::of(key.as_bytes());
    format!("  - {{ name: {name}, sha256: \"{sha256}\"{more} }}\n")
}

fn keys(entries: &[String]) -> String {
    format!("keys:\n{}", entries.concat())
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}")
}

/// Posts a body with this key.
async fn post(talk: &mut Talk, key: &str, body: &str) -> Answer {
    talk.post_with(CHAT, &[&bearer(key)], body).await
}

/// Asks for these models with this key.
async fn ask(talk: &mut Talk, key: &str, models: &[&str]) -> Answer {
    post(talk, key, &chat(models, false)).await
}

/// Checks that it is one of Standin's own errors, in OpenAI's shape.
fn is_refused(answer: &Answer, status: u16, code: &str) {
    let json = answer.json();
    let error = &json["error"];
    assert_eq!(
        (answer.status, error["code"].as_str()),
        (status, Some(code)),
        "{json}"
    );
    assert!(error["message"].is_string() && error["type"].is_string());
    assert!(error.get("param").is_some(), "{json}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
    assert!(answer.header("x-standin-attempts").is_none());
}

fn is_unauthorized(answer: &Answer, code: &str) {
    is_refused(answer, 401, code);
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn without_a_key_or_with_an_unknown_one_nobody_comes_in() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, "")])).await;
    let (good, digest) = (bearer(KEY), Digest::of(KEY.as_bytes()).to_string());
    let wrong = bearer(WRONG);
    for (lines, code) in [
        (&[][..], "no_key"),
        (&["authorization:"], "no_key"),
        (&["authorization: Bearer"], "no_key"),
        (&["authorization: Bearer  "], "no_key"),
        (&[&format!("authorization: Basic {KEY}")], "no_key"),
        (&[&format!("authorization: {KEY}")], "no_key"),
        (&[&format!("authorization: Bearer{KEY}")], "no_key"),
        (
            &[&format!("cookie: api-key={KEY}; x-api-key={KEY}")],
            "no_key",
        ),
        (&[&format!("proxy-authorization: Bearer {KEY}")], "no_key"),
        (&["x-api-key:"], "no_key"),
        (&["api-key:  "], "no_key"),
        // Which of two counts, two readers would not agree on.
        (&[&good, &good], "no_key"),
        (&[&good, &wrong], "no_key"),
        (&[&wrong, &good], "no_key"),
        (&["authorization: Bearer", &good], "no_key"),
        (&["authorization: Basic YTpi", &good], "no_key"),
        (
            &[&format!("x-api-key: {KEY}"), &format!("x-api-key: {KEY}")],
            "no_key",
        ),
        (&[&wrong], "unknown_key"),
        (&[&wrong, &format!("x-api-key: {KEY}")], "unknown_key"),
        (
            &[&format!("x-api-key: {WRONG}"), &format!("api-key: {KEY}")],
            "unknown_key",
        ),
        (&[&bearer(&digest)], "unknown_key"),
        (&[&bearer(&KEY.to_uppercase())], "unknown_key"),
        (&[&format!("{good}x")], "unknown_key"),
        (&[&bearer(&KEY[1..])], "unknown_key"),
        (&[&format!("{good}, Bearer {KEY}")], "unknown_key"),
        (
            &[&format!("authorization: Bearer \"{KEY}\"")],
            "unknown_key",
        ),
        (
            &[&format!("authorization: Bearer Bearer {KEY}")],
            "unknown_key",
        ),
        (&[&bearer(&"x".repeat(4000))], "unknown_key"),
    ] {
        let mut talk = house.talk().await;
        let answer = talk.post_with(CHAT, lines, &chat(&["p/m"], false)).await;
        is_unauthorized(&answer, code);
        // Whoever has no key has no body read.
        assert_eq!(answer.header("connection"), Some("close"));
        talk.closed().await;
    }
    // What is there is nobody's business either.
    let mut talk = house.talk().await;
    for path in ["/v1/models", "/v1/models/p/m", "/v1/none", CHAT] {
        is_unauthorized(&talk.get(path).await, "no_key");
    }
    let query = format!("{CHAT}?api-key={KEY}&key={KEY}");
    is_unauthorized(&talk.post(&query, &chat(&["p/m"], false)).await, "no_key");
    let mut talk = house.talk().await;
    let second = H2::to(house.at).await.chat(&["p/m"], false).await;
    assert_eq!(
        (second.status, &second.json()["error"]["code"]),
        (401, &"no_key".into())
    );
    assert_eq!(second.headers["www-authenticate"], "Bearer");
    assert_eq!(mock.connections(), 0);
    assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, 200);
}

#[tokio::test]
async fn a_key_comes_as_a_bearer_or_in_either_header() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, "")])).await;
    let mut talk = house.talk().await;
    for line in [
        "Authorization: Bearer KEY",
        "authorization: bearer KEY",
        "AUTHORIZATION: BEARER KEY",
        "authorization: bEaReR   KEY  ",
        "x-api-key: KEY",
        "X-API-Key:   KEY",
        "api-key: KEY",
        "Api-Key: KEY",
    ] {
        let line = line.replace("KEY", KEY);
        let answer = talk.post_with(CHAT, &[&line], &chat(&["p/m"], false)).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    }
    // Another scheme is for someone on the way.
    let lines = ["authorization: Basic YTpi", &format!("x-api-key: {KEY}")];
    let answer = talk.post_with(CHAT, &lines, &chat(&["p/m"], false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_new_key_works_where_its_entry_is_pasted() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let mut new = Command::new(env!("CARGO_BIN_EXE_standin"));
    let made = new.args(["key", "new", "search-team"]).output();
    let made = soon("a key", made).await.unwrap();
    assert!(made.status.success());
    let made = String::from_utf8(made.stdout).unwrap();
    let (key, entry) = made.split_once('\n').unwrap();
    let more = keys(&[entry.to_owned()]);
    let house = House::before(&[("p", &mock)], &more).await;
    let answer = ask(&mut house.talk().await, key, &["p/m"]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = ask(&mut house.talk().await, KEY, &["p/m"]).await;
    is_unauthorized(&answer, "unknown_key");
}

#[tokio::test]
async fn a_client_s_key_is_shown_to_nobody() {
    let mock = Mock::start(Script::by_model([
        ("busy", Reply::rate_limited(Some("30"))),
        ("torn", Reply::unavailable()),
        ("m", Reply::answer("Hello")),
    ]))
    .await
    .unwrap();
    let folder = Folder::new();
    let path = folder.file("usage.db");
    let ledger = format!("ledger: {{ path: \"{}\" }}\n", path.display());
    let limit = ", requests_per_minute: 5";
    let more = ledger + &keys(&[entry("team", KEY, limit)]);
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    let [good, wrong] = [KEY, WRONG].map(bearer);
    let header = format!("x-api-key: {KEY}");
    let azure = format!("api-key: {KEY}");
    let also = format!("proxy-authorization: Bearer {KEY}");
    let names = &["p/busy", "p/torn", "p/m"][..];
    for (lines, models, status) in [
        (&[&good[..], &header, &azure, &also][..], names, 200),
        (&[&header], names, 200),
        (&[&azure], names, 200),
        (&[&good], &["p/busy"], 429),
        (&[&good], &["p/torn"], 503),
        (&[&good], names, 429),
        (&[&wrong], names, 401),
    ] {
        let body = chat(models, status == 200);
        let answer = talk.post_with(CHAT, lines, &body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let told = format!("{:?}{}", answer.headers, answer.text());
        assert!(!told.contains("sk-standin"), "{told}");
    }
    let last = ["x-request-id: the-last-one", &good];
    let mut talk = house.talk().await;
    talk.post_with(CHAT, &last, "{").await;
    house.logged("the-last-one").await;
    let log = house.log().join("\n");
    assert!(
        log.contains("DEBUG") && !log.contains("sk-standin"),
        "{log}"
    );
    let status = house.status().await.to_string();
    assert!(
        status.contains("p/m") && !status.contains("sk-"),
        "{status}"
    );
    let seen = mock.seen();
    assert!(seen.len() > 5);
    for one in seen {
        assert_eq!(one.header("authorization"), Some("Bearer sk-test-p"));
        let told = format!("{:?}{:?}{}", one.headers, one.body, one.target);
        assert!(!told.contains("sk-standin"), "{told}");
        for name in ["x-api-key", "api-key", "proxy-authorization"] {
            assert_eq!(one.header(name), None);
        }
    }
    let rows = Talk::to(house.admin).await.get("/-/usage").await.text();
    assert_eq!(rows.lines().count(), 3);
    assert!(rows.contains("team") && !rows.contains("sk-"), "{rows}");
    let mut files = 0;
    for file in walk(&folder.file(".")) {
        let bytes = std::fs::read(&file).unwrap();
        let found = memchr::memmem::find(&bytes, b"sk-standin");
        assert_eq!(found, None, "{}", file.display());
        files += 1;
    }
    assert!(files > 0);
}

/// All files in a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn what_a_key_may_not_use_is_passed_over_or_forbidden() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let may = ", models: [\"p/good*\", \"q/*\"]";
    let more = keys(&[entry("team", KEY, may)]);
    let house = House::before(&[("p", &mock), ("q", &mock)], &more).await;
    let mut talk = house.talk().await;
    for models in [
        &["p/other"][..],
        &["p/other", "p/Good"],
        &["nowhere/x", "p/other"],
        &["P/good", "p/goo"],
    ] {
        let answer = ask(&mut talk, KEY, models).await;
        let known = models.iter().any(|name| name.starts_with("p/"));
        assert!(known);
        is_refused(&answer, 403, "not_allowed");
        assert_eq!(answer.json()["error"]["param"], "model");
    }
    assert_eq!(mock.connections(), 0);
    // Nothing at all is known here, whoever asks.
    is_refused(
        &ask(&mut talk, KEY, &["nowhere/x"]).await,
        404,
        "model_not_found",
    );
    for (models, walk) in [
        (&["p/good"][..], "p/good=200"),
        (&["p/good/2"], "p/good/2=200"),
        (&["p/other", "q/b"], "p/other=skipped:not_allowed, q/b=200"),
        (
            &["p/other", "nowhere/x", "p/good"],
            "p/other=skipped:not_allowed, nowhere/x=skipped:unknown, p/good=200",
        ),
    ] {
        let answer = ask(&mut talk, KEY, models).await;
        assert_eq!((answer.status, answer.walk()), (200, walk));
    }
    assert_eq!(mock.asked("other"), 0);
}

#[tokio::test]
async fn a_fallback_never_reaches_what_the_key_may_not_use() {
    let mock = Mock::start(Script::by_model([
        ("good", Reply::rate_limited(Some("100"))),
        ("secret", Reply::rate_limited(Some("30"))),
        ("b", Reply::rate_limited(Some("100"))),
    ]))
    .await
    .unwrap();
    let models = "models:\n  p/good: { provider: p, fallbacks: [p/secret, p/b] }\n  \
                  house/both:\n    targets: [ { provider: p, upstream_model: secret }, { provider: p, upstream_model: b } ]\n";
    let team = entry("team", KEY, ", models: [\"p/good\", \"p/b\"]");
    let more = models.to_owned() + &keys(&[team, entry("all", "another", "")]);
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    let first = ask(&mut talk, KEY, &["p/good"]).await;
    let walk = "p/good=429, p/secret=skipped:not_allowed, p/b=429";
    assert_eq!((first.status, first.walk()), (429, walk));
    // Someone else sends it to sleep, which is nothing to this key.
    assert_eq!(ask(&mut talk, "another", &["p/secret"]).await.status, 429);
    assert_eq!(mock.asked("secret"), 1);
    for asked in [&["p/good"][..], &["p/good", "p/secret", "p/b"]] {
        let last = ask(&mut talk, KEY, asked).await;
        let walk = "p/good=skipped:cooling, p/secret=skipped:not_allowed, p/b=skipped:cooling, \
                    p/good=429, p/b=429";
        assert_eq!((last.status, last.walk()), (429, walk));
        let after: u64 = last.header("retry-after").unwrap().parse().unwrap();
        assert!(
            (60..=100).contains(&after),
            "{after}: when the other one is back"
        );
    }
    let both = ask(&mut talk, KEY, &["house/both"]).await;
    is_refused(&both, 403, "not_allowed");
    assert_eq!(mock.asked("secret"), 1);
}

#[tokio::test]
async fn a_key_sees_the_models_that_it_may_use() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let models =
        "models:\n  p/a: { provider: p }\n  p/b: { provider: p }\n  house/c: { provider: p }\n";
    let few = entry("few", KEY, ", models: [\"p/b\", \"house/*\"]");
    let none = entry("none", "another", ", models: [\"p/none\"]");
    let more = models.to_owned() + &keys(&[few, none, entry("all", "third", "")]);
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    for (key, names) in [
        (KEY, &["house/c", "p/b"][..]),
        ("another", &[]),
        ("third", &["house/c", "p/a", "p/b"]),
    ] {
        let key = bearer(key);
        talk.request("GET", "/v1/models", &[&key], b"").await;
        let list = talk.answer().await;
        assert_eq!(list.status, 200);
        let list = list.json();
        let listed = list["data"].as_array().unwrap().iter();
        let mut listed: Vec<_> = listed.map(|one| one["id"].as_str().unwrap()).collect();
        listed.sort_unstable();
        assert_eq!(listed, names);
        for name in ["p/a", "p/b", "house/c"] {
            for path in [name.to_owned(), name.replace('/', "%2F")] {
                let path = format!("/v1/models/{path}");
                talk.request("GET", &path, &[&key], b"").await;
                let status = if names.contains(&name) { 200 } else { 404 };
                assert_eq!(talk.answer().await.status, status, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn odd_bytes_are_a_key_or_none_and_harm_nobody() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let odd: &[u8] = b"k\xff\xe9 \xc3\xa4=\"'\\%00{}";
    let sha256 = Digest::of(odd);
    let odd_entry = format!("  - {{ name: odd, sha256: \"{sha256}\" }}\n");
    let more = keys(&[entry("team", KEY, ""), odd_entry]);
    let house = House::before(&[("p", &mock)], &more).await;
    let body = chat(&["p/m"], false);
    let length = body.len();
    for (key, statuses) in [
        (odd, &[200][..]),
        (&odd[1..], &[401]),
        (b"\xff\xfe", &[401]),
        (b"\xc0\x80", &[401]),
        (b"a\tb", &[401]),
        (b",", &[401]),
        (b"${STANDIN_KEY}", &[401]),
        // What cannot stand in a header at all.
        (b"a\0b", &[400, 401]),
        (b"\x01", &[400, 401]),
        (b"\x7f", &[400, 401]),
        (b"a\rb", &[400, 401]),
        (b"a\nb", &[400, 401]),
    ] {
        let mut talk = house.talk().await;
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n");
        let way = [
            &b"authorization: Bearer "[..],
            key,
            b"\r\n\r\n",
            body.as_bytes(),
        ]
        .concat();
        talk.send([head.as_bytes(), &way].concat()).await;
        let answer = talk.answer().await;
        assert!(
            statuses.contains(&answer.status),
            "{key:?}: {}",
            answer.text()
        );
    }
    assert_eq!(mock.seen().len(), 1);
    assert_eq!(
        ask(&mut house.talk().await, KEY, &["p/m"]).await.status,
        200
    );
}

#[tokio::test]
async fn ten_thousand_wrong_keys_change_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let limit = ", requests_per_minute: 2, tokens_per_minute: 100000";
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, limit)])).await;
    let at = house.at;
    let mut guesses = tokio::task::JoinSet::new();
    for guesser in 0..20 {
        guesses.spawn(async move {
            let mut talk = Talk::to(at).await;
            for turn in 0..500 {
                let guess = format!("{KEY}{guesser}-{turn}");
                let answer = if turn % 10 == 0 {
                    ask(&mut Talk::to(at).await, &guess, &["p/m"]).await
                } else {
                    talk.request("GET", "/v1/models", &[&bearer(&guess)], b"")
                        .await;
                    talk.answer().await
                };
                is_unauthorized(&answer, "unknown_key");
            }
        });
    }
    let mut talk = house.talk().await;
    let looks = Looks::for_("the first guess");
    while house.lines("unknown_key").await == 0 {
        looks.again("none").await;
    }
    for status in [200, 200, 429] {
        assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, status);
    }
    while let Some(done) = guesses.join_next().await {
        done.unwrap();
    }
    assert_eq!(mock.seen().len(), 2);
    assert_eq!(house.lines("sk-standin").await, 0);
}
