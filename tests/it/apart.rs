//! The admin side is not there for clients: nothing that they can say to the
//! proxy port reaches it.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::Talk;

#[tokio::test]
async fn the_admin_port_is_not_reached_through_the_proxy_port() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let admin = house.admin;
    let paths = [
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/status",
        "/-/usage",
        "/-/live",
        "/-/login",
        "/-/reload",
        "/v1/../metrics",
        "/v1/%2e%2e/-/reload",
        "//-/reload",
        "/v1/-/reload",
    ];
    for path in paths {
        let absolute = format!("http://{admin}{path}");
        for target in [path, &absolute] {
            for host in [house.at.to_string(), admin.to_string(), "localhost".into()] {
                // Two that differ are refused before anybody looks at the path.
                let differ = target != path && host != admin.to_string();
                for method in ["GET", "POST"] {
                    let mut talk = house.talk().await;
                    talk.send(format!(
                        "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nx-forwarded-host: {admin}\r\n\r\n"
                    ))
                    .await;
                    let answer = talk.answer().await;
                    let status = if differ { 400 } else { 404 };
                    let what = format!("{method} {target} for {host}");
                    assert_eq!(answer.status, status, "{what}: {}", answer.text());
                    let code = if differ { "bad_request" } else { "not_found" };
                    assert_eq!(answer.code(), code, "{what}");
                }
            }
        }
    }
    // A tunnel is none of its trades either.
    let mut talk = house.talk().await;
    talk.send(format!("CONNECT {admin} HTTP/1.1\r\nhost: {admin}\r\n\r\n"))
        .await;
    let answer = talk.answer().await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.status);
    // Nothing of it had an effect.
    let text = Talk::to(admin).await.get("/metrics").await.text();
    let reloads = text
        .lines()
        .filter(|line| line.starts_with("standin_config_reloads_total") && !line.ends_with(" 0"));
    assert_eq!(reloads.count(), 0);
    assert!(!house.log().iter().any(|line| line.contains("reloaded")));
    assert!(mock.seen().is_empty());
}
