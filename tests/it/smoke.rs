//! The main job, end to end.

use standin::mock::{Mock, Reply, Script};

use crate::house::House;

#[tokio::test]
async fn one_request_walks_to_the_model_that_answers() {
    let openai = Mock::start(Script::by_model([
        ("gpt-4o", Script::from(Reply::rate_limited(Some("30")))),
        ("o1", Script::from(Reply::unavailable())),
    ]));
    let openai = openai.await.unwrap();
    let google = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("openai", &openai), ("google", &google)], "").await;
    let models = ["openai/gpt-4o", "openai/o1", "google/gemini-1.5-pro"];

    let plain = house.talk().await.chat(&models, false).await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.json()["model"], "google/gemini-1.5-pro");
    assert_eq!(
        plain.walk(),
        "openai/gpt-4o=429, openai/o1=503, google/gemini-1.5-pro=200"
    );

    let stream = house.talk().await.chat(&models, true).await;
    let events = stream.events();
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(stream.whole);
    for event in &events[..events.len() - 1] {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["model"], "google/gemini-1.5-pro");
        assert!(event.get("usage").is_none());
    }
    house.logged("request ").await;
}
