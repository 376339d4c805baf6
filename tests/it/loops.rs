//! Proxies whose providers are each other.

use standin::mock::{Mock, Reply};

use crate::headers::all;
use crate::house::{House, providers};
use crate::talk::chat;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_request_that_goes_round_is_stopped_and_the_next_model_answers() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let good = providers(&[("good", &mock)], "");
    let one = House::start(&good).await;
    let leads_to = |house: &House| {
        format!(
            "  other: {{ base_url: \"http://{}/v1\" }}\nmodels:\n  round: {{ provider: other }}\n",
            house.at
        )
    };
    let two = House::start(&(good.clone() + &leads_to(&one))).await;
    one.rewrite(&(good + &leads_to(&two)));
    one.signal("HUP");
    one.logged("configuration reloaded").await;

    let mut talk = one.talk().await;
    let answer = talk.chat(&["round", "good/m"], false).await;
    assert_eq!((answer.status, mock.counts().seen), (200, 1));
    assert_eq!(answer.walk(), "round=508, good/m=200");
    let alone = talk.chat(&["round"], true).await;
    assert_eq!((alone.status, &*alone.code()), (508, "loop"));
    assert_eq!(alone.header("x-should-retry"), Some("false"));
    assert_eq!(mock.counts().seen, 1);
}

#[tokio::test]
async fn a_few_in_a_row_are_no_loop() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let yaml = providers(&[("p", &mock)], "passthrough: { \"/v1/images/*\": p }\n");
    let house = House::start(&yaml).await;
    let body = chat(&["p/m"], false);
    for path in [CHAT, "/v1/images/edits"] {
        let lines = ["Via: 1.1 standin, 1.0 fred, 1.1 standin", "via: 2 standin"];
        let mut talk = house.talk().await;
        talk.request("POST", path, &lines, body.as_bytes()).await;
        assert_eq!(talk.answer().await.status, 200);
        let seen = mock.last().unwrap();
        let via = all(&seen, "via");
        assert_eq!(
            via,
            [
                "1.1 standin, 1.0 fred, 1.1 standin",
                "2 standin",
                "1.1 standin"
            ]
        );
        talk.request(
            "POST",
            path,
            &["via: 1.1 standin,1.1 standin, 1.1 standin, 2 standin"],
            body.as_bytes(),
        )
        .await;
        let refused = talk.answer().await;
        assert_eq!((refused.status, &*refused.code()), (508, "loop"));
    }
}
