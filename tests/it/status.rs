//! `/status`: what it tells, to whom, and that no client can make it more
//! than it is.

use serde_json::{Value, json};
use standin::mock::{Mock, Reply};

use crate::crowd::memory;
use crate::house::{House, providers};
use crate::known::is_time;
use crate::talk::{Answer, Talk};

/// The keys of an object, in the order they are shown in.
fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

async fn ask(house: &House, method: &str, lines: &[&str]) -> Answer {
    let mut talk = Talk::to(([127, 0, 0, 1], house.admin.port()).into()).await;
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    talk.send(format!(
        "{method} /status HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n"
    ))
    .await;
    talk.answer().await
}

#[tokio::test]
async fn it_tells_of_every_target_and_provider() {
    let busy = Mock::start(Reply::rate_limited(Some("30"))).await.unwrap();
    let bad = Mock::start(Reply::internal_error()).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = "models:\n  house/best: { provider: good, upstream_model: best }\n  \
                house/all:\n    targets:\n      - { provider: busy, upstream_model: m }\n      \
                - { provider: good, upstream_model: best }\n";
    let all = [("busy", &busy), ("bad", &bad), ("good", &good)];
    let house = House::before(&all, more).await;
    let status = house.status().await;
    let names = |status: &Value| {
        let rows = status["targets"].as_array().unwrap().iter();
        let name = |row: &Value| format!("{} {}", row["model"], row["provider"]).replace('"', "");
        rows.map(name).collect::<Vec<_>>()
    };
    let configured = ["house/all busy", "house/all good", "house/best good"];
    assert_eq!(names(&status), configured);
    let since = status["targets"][0]["since"].clone();
    assert!(is_time(&since));
    assert_eq!(
        status["targets"][2],
        json!({
            "model": "house/best", "provider": "good", "upstream_model": "best",
            "state": "healthy", "since": status["targets"][2]["since"], "until": null,
            "why": null, "held_by": null, "last_error": null, "consecutive_failures": 0,
            "remaining": {"requests": null, "requests_until": null,
                          "tokens": null, "tokens_until": null},
            "endpoints": {},
        })
    );
    let well = json!({"state": "healthy", "until": null, "consecutive_failures": 0});
    assert_eq!(status["providers"].as_array().unwrap().len(), 3);
    for (told, (name, _)) in status["providers"].as_array().unwrap().iter().zip(all) {
        let expected = json!({
            "provider": name, "connection": well, "credential": well,
            "since": told["since"], "last_error": null,
        });
        assert_eq!(*told, expected);
    }

    let mut talk = house.talk().await;
    let answer = talk.chat(&["bad/m", "house/all"], false).await;
    assert_eq!(answer.walk(), "bad/m=500, house/all=429, house/all=200");
    let status = house.status().await;
    assert_eq!(names(&status)[..3], configured);
    let cooling = &status["targets"][0];
    assert_eq!(
        (&cooling["state"], &cooling["why"]),
        (&json!("cooling"), &json!("rate_limited"))
    );
    assert_eq!(cooling["held_by"], "target");
    assert!(is_time(&cooling["until"]) && is_time(&cooling["last_error"]["at"]));
    assert_eq!(cooling["last_error"]["status"], 429);
    assert_ne!(cooling["since"], since);
    let failed = house.target("bad/m").await;
    assert_eq!(
        (&failed["state"], &failed["consecutive_failures"]),
        (&json!("healthy"), &1.into())
    );
    assert_eq!(keys(&failed["last_error"]), ["outcome", "status", "at"]);
    assert_eq!(failed["last_error"]["outcome"], "unavailable");
    assert_eq!(failed["last_error"]["status"], 500);
}

#[tokio::test]
async fn it_holds_no_secret() {
    let shut = Mock::start(Reply::auth()).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let folder = crate::house::Folder::new();
    let file = folder.write("key", "sk-of-a-file");
    let more = format!(
        "  file: {{ base_url: \"{}\", api_key_file: {}, headers: {{ OpenAI-Project: proj-s3cret }} }}\n\
         admin_token: t0ken-secret\n",
        good.base_url(),
        file.display()
    );
    let house = House::before(&[("shut", &shut)], &more).await;
    let mut talk = house.talk().await;
    let body = crate::talk::chat(&["shut/m", "file/m"], false);
    let lines = [
        "authorization: Bearer sk-of-a-client",
        "x-api-key: sk-of-a-client",
    ];
    let answer = talk.post_with("/v1/chat/completions", &lines, &body).await;
    assert_eq!(answer.walk(), "shut/m=401, file/m=200");
    let host = format!("host: {}", house.admin);
    let token = "authorization: Bearer t0ken-secret";
    let told = ask(&house, "GET", &[&host, token]).await;
    assert_eq!(told.status, 200);
    assert!(told.text().contains("\"shut\""), "{}", told.text());
    for secret in ["sk-", "s3cret", "t0ken", "Incorrect", "127.0.0.1", "Bearer"] {
        assert!(!told.text().contains(secret), "{secret}: {}", told.text());
    }
    let log = house.log().concat();
    for secret in ["sk-", "s3cret", "t0ken"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn it_is_told_to_nobody_else() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let host = format!("host: {}", house.admin);
    let status = async |method, lines: &[&str]| ask(&house, method, lines).await.status;
    assert_eq!(status("GET", &[&host]).await, 200);
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(status(method, &[&host]).await, 405, "{method}");
    }
    assert_eq!(status("GET", &["host: evil.example"]).await, 403);
    let origin = "origin: http://evil.example";
    assert_eq!(status("GET", &[&host, origin]).await, 403);
    assert_eq!(house.talk().await.get("/status").await.status, 404);

    let house = House::before(&[("p", &mock)], "admin_token: t0ken\n").await;
    let host = format!("host: {}", house.admin);
    let status = async |lines: &[&str]| ask(&house, "GET", lines).await.status;
    assert_eq!(status(&[&host]).await, 401);
    assert_eq!(status(&[&host, "authorization: Bearer t0ke"]).await, 401);
    assert_eq!(status(&[&host, "authorization: Bearer t0ken"]).await, 200);

    for (more, wanted) in [("", 401), ("admin_token: t0ken\n", 200)] {
        let beyond = format!("admin: 0.0.0.0:0\n{more}");
        let house = House::before(&[("p", &mock)], &beyond).await;
        let host = format!("host: 127.0.0.1:{}", house.admin.port());
        assert_eq!(ask(&house, "GET", &[&host]).await.status, 401);
        let token = "authorization: Bearer t0ken";
        assert_eq!(ask(&house, "GET", &[&host, token]).await.status, wanted);
    }
}

#[tokio::test]
async fn a_made_up_name_is_only_a_name() {
    let busy = Mock::start(Reply::rate_limited(Some("30"))).await.unwrap();
    let house = House::before(&[("p", &busy)], "").await;
    let odd = "p/\",\"state\":\"healthy\",\"x\":\"\r\n\u{0}\u{1b}[2J\u{85}\u{2028}\u{202e}é\\";
    let answer = house.talk().await.chat(&[odd], false).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    let told = house.target(odd).await;
    assert_eq!(told["state"], "cooling");
    assert_eq!(told["upstream_model"], odd[2..]);
    let text = Talk::to(house.admin).await.get("/status").await.text();
    assert!(!text.chars().any(|c| c.is_ascii_control()), "{text:?}");
    let line = house.logged("is cooling for").await;
    let is_odd = |c: char| c.is_control() || "\u{2028}\u{202e}".contains(c);
    assert!(!line.contains(is_odd), "{line:?}");
    assert_eq!(house.lines("is cooling for").await, 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn made_up_names_take_no_more_than_their_room() {
    let none = Mock::start(Reply::model_not_found()).await.unwrap();
    let busy = Mock::start(Reply::rate_limited(Some("300"))).await.unwrap();
    let house = House::start(&providers(&[("p", &none), ("busy", &busy)], "")).await;
    let mut talk = house.talk().await;
    let answer = talk.chat(&["busy/m"], false).await;
    assert_eq!(answer.walk(), "busy/m=429");
    let before = memory(house.pid());
    let long = "x".repeat(200);
    for name in 0..5000 {
        let answer = talk.chat(&[&format!("p/{long}{name}")], false).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    let told = Talk::to(house.admin).await.get("/status").await;
    assert_eq!(told.status, 200);
    let rows = told.json()["targets"].as_array().unwrap().len();
    assert!((1..=4096).contains(&rows), "{rows}");
    assert!(told.body.len() < 8 << 20, "{}", told.body.len());
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB for 5000 names");
    // What is known of others is still known, or at worst was forgotten: no
    // name that is made up keeps another from being asked.
    assert_eq!(
        talk.chat(&["busy/other"], false).await.walk(),
        "busy/other=429"
    );
}
