//! The log: one line for each request, fields for all that changes, nothing
//! that anybody said, and nobody who waits for it.

use std::process::Stdio;

use serde_json::{Value, json};
use standin::config::Digest;
use standin::mock::{At, Mock, Reply, Script, Usage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::house::{Folder, House, providers, soon};
use crate::raw::Raw;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "sk-standin-0a1b2c3d4e5f-the-client-s-own";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const JSON: &str = "log: { format: json, level: info }\n";
const TEXT: &str = "log: { format: text, level: info }\n";

/// A key's entry, and its header.
fn keyed(more: &str) -> (String, String) {
    let sha256 = Digest::of(KEY.as_bytes());
    (
        format!("keys:\n  - {{ name: search-team, sha256: \"{sha256}\"{more} }}\n"),
        format!("authorization: Bearer {KEY}"),
    )
}

/// The line of the request with this id.
async fn line_of(house: &House, id: &str) -> Value {
    let line = house.logged(&format!("\"request_id\":\"{id}\"")).await;
    serde_json::from_str(&line).unwrap()
}

/// The lines that tell of such an event.
fn events(house: &House, event: &str) -> Vec<Value> {
    let lines = house.log().into_iter();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

async fn ask(talk: &mut Talk, id: &str, models: &[&str], stream: bool, more: &[&str]) -> u16 {
    let id = format!("x-request-id: {id}");
    let lines = [&[&*id][..], more].concat();
    let answer = talk.post_with(CHAT, &lines, &chat(models, stream)).await;
    answer.status
}

/// A line without what differs from run to run.
fn settled(mut line: Value) -> Value {
    for name in ["time", "first_token_ms", "duration_ms", "overhead_us"] {
        let value = line.as_object_mut().unwrap().shift_remove(name);
        assert!(value.is_some(), "{name} in {line}");
    }
    for step in line["walk"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().shift_remove("ms");
    }
    line
}

const MODELS: &str = "models:\n  house/best: { provider: good, upstream_model: up-1, price: { input: 2.5, output: 10 } }\n";

async fn walkers() -> (Mock, Mock) {
    let busy = Script::from(Reply::rate_limited(Some("3600")));
    let used = Usage {
        input: 1000,
        cached: 200,
        output: 30,
        reasoning: 7,
    };
    let good = Reply::answer("Hello you").usage(used);
    (
        Mock::start(busy).await.unwrap(),
        Mock::start(good).await.unwrap(),
    )
}

#[tokio::test]
async fn a_request_s_line_tells_all_of_it_in_both_formats() {
    let (busy, good) = walkers().await;
    let (keys, bearer) = keyed("");
    let mocks = [("busy", &busy), ("good", &good)];
    let trace = format!("traceparent: {TRACE}");
    let models = ["busy/m", "none/m", "house/best"];
    let yaml = |format| providers(&mocks, &format!("{MODELS}{keys}{format}"));

    let house = House::start(&yaml(JSON)).await;
    let mut talk = house.talk().await;
    let answer = [
        ask(&mut talk, "first", &models, false, &[&bearer, &trace]).await,
        ask(&mut talk, "second", &models, true, &[&bearer]).await,
    ];
    assert_eq!(answer, [200, 200]);
    let first = line_of(&house, "first").await;
    for step in [&first["walk"][0], &first["walk"][2]] {
        assert!(step["ms"].is_u64(), "{step}");
    }
    let bytes = first["bytes"].as_u64().unwrap();
    assert_eq!(
        settled(first),
        json!({
            "level": "INFO", "message": "request", "request_id": "first", "endpoint": CHAT,
            "key": "search-team", "ended": "answered", "status": 200,
            "model": "house/best", "provider": "good", "upstream_model": "up-1",
            "requested": models,
            "walk": [
                {"model": "busy/m", "provider": "busy", "outcome": "rate_limited", "status": 429},
                {"model": "none/m", "outcome": "skipped", "reason": "unknown"},
                {"model": "house/best", "provider": "good", "outcome": "answered", "status": 200},
            ],
            "streamed": false, "input_tokens": 1000, "cached_tokens": 200, "output_tokens": 30,
            "reasoning_tokens": 7, "estimated": false, "cost_usd": "0.0028", "bytes": bytes,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        })
    );
    assert!(bytes > 100);
    let sent = good.seen();
    assert_eq!(sent[0].header("traceparent"), Some(TRACE));
    let second = settled(line_of(&house, "second").await);
    assert_eq!(second["streamed"], true);
    assert_eq!(second["walk"][0]["reason"], "cooling");
    assert!(second.get("trace_id").is_none());

    let house = House::start(&yaml(TEXT)).await;
    let mut talk = house.talk().await;
    ask(&mut talk, "first", &models, false, &[&bearer, &trace]).await;
    let line = house.logged("request_id=first").await;
    let words: Vec<&str> = line.split(' ').collect();
    let told: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.contains("ms") && !word.starts_with("overhead_us="))
        .collect();
    let bytes = format!("bytes={bytes}");
    assert_eq!(
        told[1..],
        [
            "INFO",
            "",
            "request",
            "request_id=first",
            "endpoint=/v1/chat/completions",
            "key=search-team",
            "ended=answered",
            "status=200",
            "model=house/best",
            "provider=good",
            "upstream_model=up-1",
            "requested=[busy/m,",
            "none/m,",
            "house/best]",
            "walk=[busy/m@busy",
            "rate_limited",
            "429",
            "none/m",
            "skipped:unknown,",
            "house/best@good",
            "answered",
            "200",
            "streamed=false",
            "input_tokens=1000",
            "cached_tokens=200",
            "output_tokens=30",
            "reasoning_tokens=7",
            "estimated=false",
            "cost_usd=0.0028",
            &bytes,
            "trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id=00f067aa0ba902b7",
        ],
        "{line}"
    );
    for name in ["first_token_ms=", "duration_ms=", "overhead_us="] {
        assert!(words.iter().any(|word| word.starts_with(name)), "{line}");
    }
}

#[tokio::test]
async fn how_a_request_ended_is_told() {
    let script = Script::by_model([
        ("bad", Script::from(Reply::unavailable())),
        (
            "cut",
            Script::from(Reply::answer("Hello you").cut(At::Event(2))),
        ),
        (
            "still",
            Script::from(Reply::answer("Hello you").stall(At::Event(2))),
        ),
        (
            "mute",
            Script::from(Reply::answer("Hello you").stall(At::Event(0))),
        ),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let more = format!("health: {{ failures: 1 }}\n{JSON}");
    let house = House::before(&[("p", &mock)], &more).await;
    let mut talk = house.talk().await;
    assert_eq!(ask(&mut talk, "fails", &["p/bad"], false, &[]).await, 503);
    let line = line_of(&house, "fails").await;
    assert_eq!(
        (&line["ended"], &line["status"]),
        (&json!("failed"), &json!(503))
    );
    assert_eq!(line["walk"][0]["outcome"], "unavailable");
    assert!(line.get("model").is_none() && line.get("cost_usd").is_none());
    // It is open now, and tried after all.
    ask(&mut talk, "again", &["p/bad"], false, &[]).await;
    let line = line_of(&house, "again").await;
    assert_eq!(line["walk"][0]["reason"], "open");
    assert_eq!(line["walk"][1]["last_resort"], true);
    ask(&mut talk, "breaks", &["p/cut"], true, &[]).await;
    let line = line_of(&house, "breaks").await;
    assert_eq!(
        (&line["ended"], &line["status"]),
        (&json!("cut"), &json!(200))
    );
    assert_eq!(line["estimated"], true);
    for (id, model, begins) in [("left", "still", true), ("early", "mute", false)] {
        let mut talk = house.talk().await;
        let name = format!("x-request-id: {id}");
        let lines = ["content-type: application/json", &name];
        let seen = mock.counts().seen;
        let body = chat(&[&format!("p/{model}")], true);
        talk.request("POST", CHAT, &lines, body.as_bytes()).await;
        if begins {
            assert_eq!(talk.head().await.0, 200);
        } else {
            soon("the request", mock.wait_for(seen + 1)).await;
        }
        drop(talk);
        let line = line_of(&house, id).await;
        assert_eq!(line["ended"], "client_gone", "{line}");
        assert_eq!(line.get("status").is_some(), begins, "{line}");
    }
    // One that leaves within its own body.
    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\nx-request-id: half\r\ncontent-length: 99\r\n\r\n{{"
    ))
    .await;
    drop(talk);
    let line = line_of(&house, "half").await;
    assert_eq!(line["ended"], "client_gone");
    assert_eq!(line["endpoint"], CHAT);
}

#[tokio::test]
async fn a_refusal_has_one_line_with_its_code() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let (keys, bearer) = keyed(", models: [\"p/*\"], requests_per_minute: 4");
    let limits = "limits: { request_body: 4KiB }\n";
    let house = House::before(&[("p", &mock)], &format!("{keys}{limits}{JSON}")).await;
    let good = chat(&["p/m"], false);
    let bad = chat(&["other/m"], false);
    let large = "x".repeat(5000);
    let key = Some("search-team");
    let mut wanted = Vec::new();
    for (id, method, path, headers, body, status, code, endpoint, key) in [
        (
            "r0",
            "POST",
            CHAT,
            &[][..],
            &*good,
            401,
            "no_key",
            Some(CHAT),
            None,
        ),
        (
            "r1",
            "POST",
            CHAT,
            &["authorization: Bearer nobody"],
            &good,
            401,
            "unknown_key",
            Some(CHAT),
            None,
        ),
        (
            "r2",
            "POST",
            CHAT,
            &[&*bearer],
            "{",
            400,
            "bad_json",
            Some(CHAT),
            key,
        ),
        (
            "r3",
            "POST",
            CHAT,
            &[&bearer],
            &bad,
            404,
            "model_not_found",
            Some(CHAT),
            key,
        ),
        (
            "r4",
            "POST",
            CHAT,
            &[&bearer],
            &large,
            413,
            "request_too_large",
            Some(CHAT),
            key,
        ),
        (
            "r5",
            "POST",
            "/v1/planted?planted",
            &[&bearer],
            &good,
            404,
            "not_found",
            None,
            key,
        ),
        (
            "r6",
            "GET",
            CHAT,
            &[&bearer],
            "",
            405,
            "method_not_allowed",
            Some(CHAT),
            key,
        ),
        (
            "r7",
            "GET",
            "/v1/models/planted",
            &[&bearer],
            "",
            404,
            "model_not_found",
            Some("/v1/models"),
            key,
        ),
        (
            "r8",
            "POST",
            CHAT,
            &[&bearer, "content-type: text/planted"],
            &good,
            415,
            "unsupported_media_type",
            Some(CHAT),
            key,
        ),
    ] {
        let mut talk = house.talk().await;
        let name = format!("x-request-id: {id}");
        let lines = [&[&*name][..], headers].concat();
        talk.request(method, path, &lines, body.as_bytes()).await;
        let answer = talk.answer().await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{id}");
        wanted.push((id.to_owned(), status, code, endpoint, key));
    }
    let mut talk = house.talk().await;
    for nth in 0.. {
        let id = format!("limit-{nth}");
        if ask(&mut talk, &id, &["p/m"], false, &[&bearer]).await == 429 {
            wanted.push((id, 429, "requests_per_minute", Some(CHAT), key));
            break;
        }
    }
    for (id, status, code, endpoint, key) in wanted {
        let mut line = line_of(&house, &id).await;
        line.as_object_mut().unwrap().shift_remove("time");
        let mut whole = json!({
            "level": "INFO", "message": "request", "request_id": id, "ended": "refused",
            "status": status, "code": code,
        });
        for (name, value) in [("endpoint", endpoint), ("key", key)] {
            if let Some(value) = value {
                whole[name] = value.into();
            }
        }
        assert_eq!(line, whole);
        assert_eq!(
            house.lines(&format!("\"request_id\":\"{id}\"")).await,
            1,
            "{id}"
        );
    }
    // Of one that cannot be read, nothing is known.
    let mut talk = house.talk().await;
    talk.send("GET / HTTP/1.1\r\nno colon planted\r\n\r\n")
        .await;
    let answer = talk.answer().await;
    let line = line_of(&house, answer.header("x-request-id").unwrap()).await;
    assert_eq!(
        (&line["status"], &line["code"]),
        (&json!(400), &json!("bad_request"))
    );
    assert!(!house.log().concat().contains("planted"));
}

#[tokio::test]
async fn the_list_of_models_has_its_line_too() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], JSON).await;
    let mut talk = house.talk().await;
    let lines = ["x-request-id: list"];
    talk.request("GET", "/v1/models", &lines, b"").await;
    assert_eq!(talk.answer().await.status, 200);
    let line = line_of(&house, "list").await;
    assert_eq!(line["endpoint"], "/v1/models");
    assert_eq!(
        (&line["status"], &line["ended"]),
        (&json!(200), &json!("answered"))
    );
}

#[tokio::test]
async fn what_changes_has_fields() {
    let script = Script::by_model([
        ("busy", Script::from(Reply::rate_limited(Some("3600")))),
        ("auth", Script::from(Reply::auth())),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let raw = Raw::start().await;
    let url = raw.base_url();
    let more = format!("  raw: {{ base_url: \"{url}\" }}\nshutdown: {{ drain: 10ms }}\n{JSON}");
    let yaml = providers(&[("p", &mock)], &more);
    let mut house = House::start(&yaml).await;
    assert_eq!(
        events(&house, "start")[0]["version"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        events(&house, "listening")[0]["address"],
        house.at.to_string()
    );
    assert_eq!(
        events(&house, "admin")[0]["address"],
        house.admin.to_string()
    );

    let mut talk = house.talk().await;
    ask(&mut talk, "busy", &["p/busy"], false, &[]).await;
    house.logged("target_state").await;
    let told = events(&house, "target_state").remove(0);
    let for_ms = told["for_ms"].as_u64().unwrap();
    assert!((3_000_000..4_000_000).contains(&for_ms), "{told}");
    for (name, value) in [
        ("level", json!("WARN")),
        ("provider", json!("p")),
        ("upstream_model", json!("busy")),
        ("state", json!("cooling")),
        ("why", json!("rate_limited")),
        ("status", json!(429)),
    ] {
        assert_eq!(told[name], value, "{told}");
    }
    ask(&mut talk, "auth", &["p/auth"], false, &[]).await;
    house.logged("credential_state").await;
    assert_eq!(events(&house, "credential_state")[0]["provider"], "p");

    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.post("/-/reload", "").await.status, 200);
    house.logged("accepted").await;
    assert_eq!(events(&house, "reload")[0]["result"], "accepted");
    house.rewrite(&format!("{yaml}nonsense: sk-secret\n"));
    assert_eq!(admin.post("/-/reload", "").await.status, 422);
    house.logged("rejected").await;
    let told = events(&house, "reload").remove(1);
    assert_eq!(
        (&told["result"], &told["level"]),
        (&json!("rejected"), &json!("ERROR"))
    );
    assert!(told["problems"].as_str().unwrap().contains("nonsense"));

    let body = chat(&["raw/m"], false);
    talk.request("POST", CHAT, &[], body.as_bytes()).await;
    let _wire = raw.accept().await;
    house.signal("TERM");
    house.ended().await;
    house.logged("\"stop\"").await;
    assert_eq!(events(&house, "drain")[0]["in_flight"], 1);
    assert_eq!(events(&house, "drain_over")[0]["in_flight"], 1);
    assert!(!house.log().concat().contains("sk-secret"));
}

#[tokio::test]
async fn a_reload_changes_how_the_log_looks() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], JSON).await;
    let mut admin = Talk::to(house.admin).await;
    let mut talk = house.talk().await;
    for (format, id, start) in [
        (TEXT, "one", "request_id=one"),
        (JSON, "two", "\"request_id\":\"two\""),
    ] {
        house.rewrite(&providers(&[("p", &mock)], format));
        assert_eq!(admin.post("/-/reload", "").await.status, 200);
        assert_eq!(ask(&mut talk, id, &["p/m"], false, &[]).await, 200);
        house.logged(start).await;
    }
}

#[tokio::test]
async fn names_that_are_not_nice_stay_within_their_line() {
    let (_, good) = walkers().await;
    let odd = format!(
        "p/\",\"ended\":\"x\r\n\u{0}\u{1b}[2J\u{85}\u{9b}31m\u{2028}\u{202e}\\ ={}",
        "漢".repeat(70)
    );
    assert!((200..=256).contains(&odd.len()));
    for format in [JSON, TEXT] {
        let house = House::before(&[("good", &good)], format).await;
        let mut talk = house.talk().await;
        let models = [&*odd, "good/m"];
        assert_eq!(ask(&mut talk, "a\",x=\\", &models, false, &[]).await, 200);
        let line = house.logged("skipped").await;
        let is_odd = |c: char| c.is_control() || "\u{2028}\u{202e}".contains(c);
        assert!(!line.contains(is_odd), "{line:?}");
        if format == JSON {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["request_id"], "a\",x=\\");
            assert_eq!(line["requested"], json!(models));
            assert_eq!(line["walk"][0]["model"], odd);
            assert_eq!(line["ended"], "answered");
        } else {
            assert!(line.contains(" request_id=\"a\\\",x=\\\\\" "), "{line}");
            assert_eq!(line.matches(" ended=").count(), 1, "{line}");
        }
    }
}

/// Everything that nobody may read in a log, each with its own number.
const PLANTED: &str = "planted";

#[tokio::test]
async fn nothing_that_anybody_said_is_in_the_log_at_any_level() {
    let folder = Folder::new();
    let file = folder.write("key", "planted-file-key\n");
    let reply = |text: &str| Reply::json(500, text.to_owned());
    let script = Script::by_model([
        (
            "good",
            Script::from(
                Reply::answer("planted-answer planted-more").header("x-planted", "planted-header"),
            ),
        ),
        (
            "cut",
            Script::from(Reply::answer("planted-answer planted-more").cut(At::Event(2))),
        ),
        (
            "word",
            Script::from(reply(
                r#"{"error":{"message":"planted-message","type":"planted_type","param":"planted_param","code":"planted_code"}}"#,
            )),
        ),
        (
            "auth",
            Script::from(Reply::json(
                401,
                r#"{"error":{"message":"wrong key: planted-file-key"}}"#,
            )),
        ),
        (
            "html",
            Script::from(Reply::plain(200, "text/planted", "<planted>")),
        ),
        ("chaos", Script::from(Reply::not_http())),
        (
            "event",
            Script::from(Reply::stream([
                "planted",
                r#"{"error":{"message":"planted"}}"#,
            ])),
        ),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let sha256 = Digest::of(b"planted-client-key");
    let (url, file) = (mock.base_url(), file.display());
    let yaml = format!(
        "providers:\n  p: {{ base_url: \"{url}\", api_key_file: \"{file}\", headers: {{ x-own: planted-own }} }}\n  \
         q: {{ base_url: \"{url}\", api_key: planted-api-key }}\n  \
         gone: {{ base_url: \"http://127.0.0.1:1/v1\", api_key: planted-api-key }}\n\
         keys:\n  - {{ name: team, sha256: \"{sha256}\" }}\nadmin_token: planted-token\n\
         health: {{ failures: 1, cooldown: 1ms, max_cooldown: 1ms }}\n\
         ledger: {{ path: \"{}\" }}\n",
        folder.file("usage.db").display()
    );
    for format in ["json", "text"] {
        let yaml = format!("{yaml}log: {{ format: {format}, level: trace }}\n");
        let out = std::fs::File::create(folder.file("out")).unwrap();
        let house = House::start_with(&yaml, |command| {
            command.stdout(out);
        });
        let mut house = house.await;
        let headers = [
            "authorization: Bearer planted-client-key",
            "cookie: planted-cookie",
            "x-any: planted-any",
            "traceparent: planted-trace",
            "x-request-id: planted id",
        ];
        for model in [
            "p/good", "p/cut", "p/word", "p/auth", "p/html", "p/chaos", "p/event", "q/good",
            "gone/m",
        ] {
            for stream in [false, true] {
                let body = chat(&[model], stream).replace("Hello", "planted-prompt");
                let mut talk = house.talk().await;
                talk.post_with(&format!("{CHAT}?key=planted-query"), &headers, &body)
                    .await;
                let refused = ["authorization: Bearer planted-wrong"];
                talk.post_with(CHAT, &refused, &body).await;
            }
        }
        let mut talk = house.talk().await;
        talk.post_with(CHAT, &headers, r#"{"model":"p/good","planted":planted}"#)
            .await;
        for raw in [
            "GET / HTTP/1.1\r\nauthorization: planted\r\nno colon planted\r\n\r\n",
            "GET /planted HTTP/9.9 planted\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nplanted planted planted planted planted",
            "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nplanted\r\n",
        ] {
            let mut talk = house.talk().await;
            talk.send(raw).await;
            let mut rest = Vec::new();
            // Some are answered, all are closed.
            let _ = soon("its end", talk.stream.read_to_end(&mut rest)).await;
        }
        for token in ["planted-token", "planted-wrong"] {
            let line = format!("authorization: Bearer {token}");
            let mut admin = Talk::to(house.admin).await;
            admin
                .post_with("/-/reload?planted", &[&line], "planted")
                .await;
        }
        house.rewrite(&yaml.replace("admin_token", "admin_tokken"));
        house.signal("HUP");
        house.logged("not reloaded").await;
        folder.write("key", "planted-file-key-2\n");
        house.logged("read again").await;
        house.signal("TERM");
        assert!(house.ended().await.success());
        house.logged("stopped").await;
        let log = house.log().join("\n");
        assert!(log.contains("DEBUG"), "{log}");
        assert!(log.contains("answered") && log.contains("refused"), "{log}");
        let out = std::fs::read_to_string(folder.file("out")).unwrap();
        for line in log.lines().chain(out.lines()) {
            assert!(!line.contains(PLANTED), "{line}");
        }
        folder.write("key", "planted-file-key\n");
    }
}

#[tokio::test]
async fn nobody_waits_for_whoever_reads_the_log() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let folder = Folder::new();
    let yaml = providers(&[("p", &mock)], JSON);
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlimits: {{ max_candidates: 40 }}\n{yaml}"
    );
    let path = folder.write("standin.yaml", &yaml);
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["serve", "-c"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut all = Vec::new();
    let mut at = None;
    while at.is_none()
        || !all
            .last()
            .is_some_and(|line: &Value| line["event"] == "admin")
    {
        let line = soon("a line", log.next_line()).await.unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["event"] == "listening" {
            at = Some(line["address"].as_str().unwrap().parse().unwrap());
        }
        all.push(line);
    }
    let at = at.unwrap();
    // Lines of some 20 KiB: the pipe is full with the fourth, and what may
    // wait with the first few hundred.
    let names: Vec<String> = (0..39)
        .map(|n| format!("{n}/{}", "x".repeat(250)))
        .collect();
    let mut models: Vec<&str> = names.iter().map(String::as_str).collect();
    models.push("p/m");
    let count = 1000;
    let mut talk = Talk::to(at).await;
    for number in 0..count {
        assert_eq!(
            ask(&mut talk, &format!("n{number}"), &models, false, &[]).await,
            200
        );
    }
    // Now it is read.
    let is_lost = |line: &Value| line["event"] == "log_lost";
    while !all.iter().any(is_lost) {
        let line = soon("a line", log.next_line()).await.unwrap().unwrap();
        all.push(serde_json::from_str(&line).unwrap());
    }
    let lost = all.last().unwrap()["lines"].as_u64().unwrap();
    let told = all.iter().filter(|line| line["message"] == "request");
    let ids: Vec<&str> = told
        .map(|line| line["request_id"].as_str().unwrap())
        .collect();
    assert!(lost > 100, "{lost}");
    assert_eq!(ids.len() as u64 + lost, count);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(*id, format!("n{number}"));
    }
    assert_eq!(ask(&mut talk, "last", &["p/m"], false, &[]).await, 200);
    let line = soon("a line", log.next_line()).await.unwrap().unwrap();
    assert!(line.contains("\"request_id\":\"last\""), "{line}");

    // And it ends, also when nobody reads any more.
    for number in 0..200 {
        ask(&mut talk, &format!("m{number}"), &models, false, &[]).await;
    }
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(sent.unwrap().success());
    assert!(soon("its end", child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_process_that_cannot_start_says_why_behind_its_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let folder = Folder::new();
    let yaml = format!(
        "listen: {at}\nadmin: 127.0.0.1:0\nlog: {{ format: json, level: trace }}\n\
         providers: {{ p: {{ base_url: \"http://127.0.0.1:1\" }} }}\n"
    );
    let path = folder.write("standin.yaml", &yaml);
    let output = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["serve", "-c"])
        .arg(path)
        .stdin(Stdio::null())
        .output();
    let output = soon("its end", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let [first @ .., last] = &lines[..] else {
        panic!("it says nothing");
    };
    assert_eq!(first.len(), 1, "{said}");
    assert!(first[0].contains("descriptors"), "{said}");
    assert!(
        last.starts_with(&format!("cannot listen on {at}")),
        "{said}"
    );
}
