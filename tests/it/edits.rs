//! What a model's `request` entry wants otherwise, and what may not stand in
//! a body twice because of it.

use standin::mock::{Mock, Reply};

use crate::house::House;

const CHAT: &str = "/v1/chat/completions";

const MODELS: &str = r#"
models:
  p/picky:
    request: { drop: [seed], rename: { max_tokens: max_completion_tokens }, set: { store: false } }
  p/plain: {}
"#;

#[tokio::test]
async fn a_model_gets_what_it_wants_otherwise_and_no_other_does() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], MODELS).await;
    let mut talk = house.talk().await;
    let rest = r#" , "s\u0065ed":1, "x":[1.50],"max_tokens" : 5}"#;
    for (name, sent) in [
        (
            "picky",
            r#"{"model":"picky", "x":[1.50],"max_completion_tokens" : 5,"store":false}"#.to_owned(),
        ),
        ("plain", format!(r#"{{"model":"plain"{rest}"#)),
    ] {
        let body = format!(r#"{{"model":"p/{name}"{rest}"#);
        assert_eq!(talk.post(CHAT, &body).await.status, 200);
        let seen = mock.last().unwrap();
        assert_eq!(std::str::from_utf8(&seen.body).unwrap(), sent);
    }
}

#[tokio::test]
async fn a_member_that_a_candidate_wants_otherwise_may_not_stand_twice() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], MODELS).await;
    let mut talk = house.talk().await;
    for (twice, param) in [
        (r#""seed":1,"s\u0065ed":1"#, "seed"),
        (r#""max_tokens":1,"max_tokens":2"#, "max_tokens"),
        (
            r#""max_completion_tokens":1,"max_completion_tokens":2"#,
            "max_completion_tokens",
        ),
        (r#""store":true,"x":{"store":1},"store":true"#, "store"),
    ] {
        for list in [r#""model":"p/picky""#, r#""models":["p/plain","p/picky"]"#] {
            let answer = talk.post(CHAT, &format!("{{{list},{twice}}}")).await;
            assert_eq!(answer.status, 400, "{list} {twice}");
            assert_eq!(answer.code(), "duplicate_member");
            assert_eq!(answer.json()["error"]["param"], param);
        }
        assert_eq!(mock.seen().len(), 0);
    }
    // What is nobody's to change goes as it came: it may be the provider's.
    let body = r#"{"model":"p/plain","seed":1,"seed":1,"store":1,"store":2}"#;
    assert_eq!(talk.post(CHAT, body).await.status, 200);
    let sent = body.replace("p/plain", "plain");
    assert_eq!(mock.last().unwrap().body, sent.as_bytes());
}
