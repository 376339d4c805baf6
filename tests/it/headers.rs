//! Which headers cross, in both directions.

use standin::mock::{Mock, Reply, Seen};

use crate::house::House;
use crate::talk::{Answer, chat};

const CHAT: &str = "/v1/chat/completions";

/// One request with these lines over a house with these lines in its
/// provider; what arrived, and the answer.
async fn through(reply: Reply, provider: &str, path: &str, lines: &[&str]) -> (Seen, Answer) {
    let mock = Mock::start(reply).await.unwrap();
    let yaml = format!(
        "providers:\n  p: {{ base_url: \"{}\", api_key: sk-standin{provider} }}\n",
        mock.base_url()
    );
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    talk.request("POST", path, lines, chat(&["p/m"], false).as_bytes())
        .await;
    let answer = talk.answer().await;
    let seen = mock.last().expect("a request arrived");
    ((*seen).clone(), answer)
}

pub(crate) fn all<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    seen.headers
        .iter()
        .filter(|(have, _)| have.eq_ignore_ascii_case(name))
        .map(|(_, value)| std::str::from_utf8(value).unwrap())
        .collect()
}

#[tokio::test]
async fn the_client_s_identity_and_hop_stay_here() {
    let secret = "never-leaves";
    let names = [
        "Authorization",
        "PROXY-AUTHORIZATION",
        "X-Api-Key",
        "Api-Key",
        "x-GOOG-api-key",
        "OpenAI-Organization",
        "openai-PROJECT",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "X-FORWARDED-PROTO",
        "x-forwarded-anything",
        "X-Real-IP",
        "X-Standin-Anything",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Accept-Encoding",
        "X-Nominated",
        "x-nominated-too",
    ];
    let mut lines: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: {secret}"))
        .collect();
    lines.push("Connection: keep-alive, X-NOMINATED".into());
    lines.push("connection: x-nominated-too".into());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let path = format!("{CHAT}?key={secret}&api-version=1");
    let (seen, answer) = through(Reply::answer("Hello"), "", &path, &lines).await;
    assert_eq!(answer.status, 200);
    assert_eq!(seen.target, CHAT);
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value);
        assert!(!value.contains(secret), "{name}: {value}");
    }
    for name in names {
        let expected: &[&str] = match name {
            "Authorization" => &["Bearer sk-standin"],
            "Accept-Encoding" => &["identity"],
            _ => &[],
        };
        assert_eq!(all(&seen, name), expected, "{name}");
    }
    assert!(all(&seen, "transfer-encoding").is_empty());
    assert_eq!(all(&seen, "content-length").len(), 1);
    assert_eq!(all(&seen, "host").len(), 1);
    assert_ne!(all(&seen, "host"), ["h"]);
}

#[tokio::test]
async fn all_other_headers_of_the_client_leave() {
    let lines = [
        "OpenAI-Beta: assistants=v2",
        "Idempotency-Key: 1",
        "User-Agent: test/1",
        "traceparent: 00-1-2-01",
        "X-Stainless-Lang: rust",
        "Accept: text/event-stream",
        "x-twice: 1",
        "x-twice: 2",
        "x-latin: caf\u{e9}",
        "x-empty:",
        "Content-Type: application/json; charset=utf-8",
    ];
    let (seen, _) = through(Reply::answer("Hello"), "", CHAT, &lines).await;
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        assert!(all(&seen, name).contains(&value.trim()), "{line}");
    }
    assert_eq!(all(&seen, "x-twice"), ["1", "2"]);
    assert_eq!(all(&seen, "content-type").len(), 1);
}

#[tokio::test]
async fn a_missing_content_type_is_added() {
    let (seen, _) = through(Reply::answer("Hello"), "", CHAT, &[]).await;
    assert_eq!(all(&seen, "content-type"), ["application/json"]);
}

#[tokio::test]
async fn the_provider_s_own_headers_win() {
    let headers = ", headers: { OpenAI-Project: proj_1, User-Agent: standin, X-Own: mine }";
    let lines = [
        "OpenAI-Project: theirs",
        "user-agent: theirs",
        "x-own: theirs",
    ];
    let (seen, _) = through(Reply::answer("Hello"), headers, CHAT, &lines).await;
    assert_eq!(all(&seen, "openai-project"), ["proj_1"]);
    assert_eq!(all(&seen, "user-agent"), ["standin"]);
    assert_eq!(all(&seen, "x-own"), ["mine"]);
}

#[tokio::test]
async fn what_is_the_provider_s_own_is_not_handed_on() {
    let reply = Reply::answer("Hello")
        .header("Set-Cookie", "a=b")
        .header("ALT-SVC", "h3")
        .header("Strict-Transport-Security", "max-age=1")
        .header("openai-organization", "org-1")
        .header("X-Standin-Model", "a lie")
        .header("x-standin-anything", "a lie")
        .header("Proxy-Authenticate", "Basic")
        .header("Keep-Alive", "timeout=1")
        .header("Connection", "keep-alive, x-nominated")
        .header("x-nominated", "1")
        .header("X-Request-Id", "req-upstream")
        .header("OpenAI-Processing-Ms", "12")
        .header("x-ratelimit-remaining-requests", "9");
    let (_, answer) = through(reply, "", CHAT, &["x-request-id: mine"]).await;
    for name in [
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "openai-organization",
        "x-standin-anything",
        "proxy-authenticate",
        "x-nominated",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_ne!(answer.header("keep-alive"), Some("timeout=1"));
    for (name, value) in [
        ("x-standin-model", "p/m"),
        ("x-standin-provider", "p"),
        ("x-standin-upstream-model", "m"),
        ("x-standin-attempts", "p/m=200"),
        ("x-request-id", "mine"),
        ("x-standin-upstream-request-id", "req-upstream"),
        ("openai-processing-ms", "12"),
        ("x-ratelimit-remaining-requests", "9"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_request_id_is_kept_or_made_and_goes_both_ways() {
    let long = "i".repeat(128);
    let longer = "i".repeat(129);
    for (given, kept) in [
        ("mine-1", true),
        ("~!@#$%^&*()", true),
        (&long, true),
        (&longer, false),
        ("two words", false),
        ("caf\u{e9}", false),
        ("", false),
    ] {
        let line = format!("X-Request-Id: {given}");
        let (seen, answer) = through(Reply::answer("Hello"), "", CHAT, &[&line]).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == given, kept, "{given}: {id}");
        assert_eq!(all(&seen, "x-request-id"), [id]);
        assert!(id.len() >= 6 && id.is_ascii());
    }
    let ids = async || {
        let (_, answer) = through(Reply::answer("Hello"), "", CHAT, &[]).await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_ne!(ids().await, ids().await);
}

#[tokio::test]
async fn an_error_s_headers_cross_like_an_answer_s() {
    let reply = Reply::rate_limited(Some("7"))
        .header("set-cookie", "a=b")
        .header("x-request-id", "req-2")
        .header("x-ratelimit-reset-requests", "7s");
    let (_, answer) = through(reply, "", CHAT, &[]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("x-ratelimit-reset-requests"), Some("7s"));
    assert_eq!(
        answer.header("x-standin-upstream-request-id"),
        Some("req-2")
    );
    assert_eq!(answer.header("x-standin-attempts"), Some("p/m=429"));
}

#[tokio::test]
async fn nothing_of_a_name_becomes_a_header_line() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let body = r#"{"model":"p/a\r\nx-injected: 1, b=200 \u00e9%"}"#;
    let answer = house.talk().await.post(CHAT, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-injected"), None);
    let walk = answer.walk();
    assert!(walk.is_ascii() && walk.contains("%0D%0A"), "{walk}");
    // A path is no place for one either.
    let mut talk = house.talk().await;
    let injected = "/v1/models/x%0d%0aset-cookie:%20a=b";
    let answer = talk.get(injected).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("set-cookie"), None);
}
