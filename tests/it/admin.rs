//! The admin port.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::{Answer, Talk};

async fn ask(house: &House, method: &str, path: &str, host: &str, lines: &[&str]) -> Answer {
    let mut talk = Talk::to(house.admin).await;
    let lines = lines.iter().map(|line| format!("{line}\r\n"));
    let lines: String = lines.collect();
    talk.send(format!(
        "{method} {path} HTTP/1.1\r\n{host}{lines}content-length: 0\r\n\r\n"
    ))
    .await;
    talk.answer().await
}

#[tokio::test]
async fn health_and_reload_answer_here_only() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut talk = Talk::to(house.admin).await;
    assert_eq!(talk.get("/healthz").await.json()["status"], "alive");
    assert_eq!(talk.get("/readyz").await.json()["status"], "ready");
    assert_eq!(
        talk.post("/-/reload", "").await.json()["result"],
        "accepted"
    );
    for (method, path, status) in [
        ("GET", "/-/reload", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/models", 404),
        ("POST", "/v1/chat/completions", 404),
    ] {
        talk.request(method, path, &[], b"").await;
        let answer = talk.answer().await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"]["message"].is_string());
        assert!(answer.header("x-request-id").is_some());
    }
    let mut proxy = house.talk().await;
    for path in ["/healthz", "/readyz", "/-/reload", "/metrics"] {
        assert_eq!(proxy.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn foreign_pages_and_names_are_refused() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let here = house.admin;
    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("POST", "/-/reload"),
    ] {
        for host in [
            format!("host: {here}\r\n"),
            format!("Host: localhost:{}\r\n", here.port()),
            "HOST: LOCALHOST\r\n".into(),
            "host: [::1]:9090\r\n".into(),
        ] {
            let answer = ask(&house, method, path, &host, &[]).await;
            assert_eq!(answer.status, 200, "{path} {host}");
        }
        let own = format!("host: {here}\r\n");
        let origin = format!("Origin: http://{here}");
        assert_eq!(
            ask(&house, method, path, &own, &[&origin]).await.status,
            200
        );
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example:1",
        ] {
            let answer = ask(&house, method, path, &format!("host: {host}\r\n"), &[]).await;
            assert_eq!(answer.status, 403, "{path} {host}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "https://127.0.0.1",
            "http://localhost:1",
            "",
        ] {
            let answer = ask(&house, method, path, &own, &[&format!("Origin: {origin}")]).await;
            assert_eq!(answer.status, 403, "{path} {origin}");
        }
    }
    assert_eq!(house.lines("configuration reloaded").await, 5);
}

#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "admin_token: t0ken-secret\n").await;
    let host = format!("host: {}\r\n", house.admin);
    for (lines, status) in [
        (vec![], 401),
        (vec!["authorization: Bearer wrong"], 401),
        (vec!["authorization: Bearer t0ken-secret2"], 401),
        (vec!["authorization: Basic t0ken-secret"], 401),
        (vec!["Authorization: Bearer t0ken-secret"], 200),
        (vec!["authorization: bearer t0ken-secret"], 200),
    ] {
        let answer = ask(&house, "POST", "/-/reload", &host, &lines).await;
        assert_eq!(answer.status, status, "{lines:?}");
        assert!(!answer.text().contains("t0ken"));
    }
    assert_eq!(ask(&house, "GET", "/readyz", &host, &[]).await.status, 200);
    assert!(!house.log().concat().contains("t0ken"));
}

#[tokio::test]
async fn beyond_this_machine_only_health_is_told_without_a_token() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "admin: 0.0.0.0:0\n").await;
    let mut talk = Talk::to(([127, 0, 0, 1], house.admin.port()).into()).await;
    assert_eq!(talk.get("/healthz").await.status, 200);
    assert_eq!(talk.get("/readyz").await.status, 200);
    assert_eq!(talk.post("/-/reload", "").await.status, 401);
}
