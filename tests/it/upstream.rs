//! Providers that misbehave below HTTP's meaning: connections, framing, the
//! order of things.

use standin::mock::{At, Framing, Greeting, Mock, Reply, Script, Step};
use tokio::io::AsyncWriteExt;

use crate::house::{House, providers, soon};
use crate::raw::{Raw, said};
use crate::talk::chat;

const CHAT: &str = "/v1/chat/completions";

/// One that answers, behind others that do not.
async fn good() -> Mock {
    Mock::start(Reply::answer("Hello")).await.unwrap()
}

fn large(models: &[&str], size: usize) -> String {
    let mut body = chat(models, false);
    body.pop();
    body += ",\"pad\":\"";
    body.extend(std::iter::repeat_n('x', size));
    body + "\"}"
}

#[tokio::test]
async fn what_is_no_answer_falls_over() {
    let good = good().await;
    let mut endless = Reply::answer("Hello");
    for _ in 0..100 {
        endless = endless.interim(103, &[("link", "</x>")]);
    }
    let huge = "h".repeat(4 << 20);
    let many = "x: 1\r\n".repeat(2000);
    let cases: Vec<(&str, Script)> = vec![
        ("endless 1xx", endless.into()),
        ("switches", Reply::answer("Hello").interim(101, &[]).into()),
        (
            "huge head",
            Reply::answer("Hello").header("x-huge", &huge).into(),
        ),
        (
            "many headers",
            Reply::steps([Step::send(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))]).into(),
        ),
        (
            "no HTTP",
            Reply::steps([Step::send("220 mail ready\r\n\r\n")]).into(),
        ),
        ("nothing", Reply::steps([Step::Cut]).into()),
        (
            "half a head",
            Reply::steps([Step::send("HTTP/1.1 200 O"), Step::Cut]).into(),
        ),
        ("reset", Reply::answer("Hello").reset(At::Start).into()),
        (
            "reset after the head",
            Reply::answer("Hello").reset(At::Head).into(),
        ),
        ("cut", Reply::completion("Hello").cut(At::Byte(5)).into()),
        (
            "length too long",
            Reply::completion("Hello")
                .framing(Framing::Claims(1 << 30))
                .into(),
        ),
        (
            "two lengths",
            Reply::completion("Hello")
                .framing(Framing::TwoLengths)
                .into(),
        ),
        (
            "status 99",
            Reply::steps([Step::send("HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n")]).into(),
        ),
        ("204", Reply::empty().status(204).into()),
        (
            "closes at once",
            Script::from(Reply::answer("Hello")).greet(|_| Greeting::Close),
        ),
        (
            "resets at once",
            Script::from(Reply::answer("Hello")).greet(|_| Greeting::Reset),
        ),
    ];
    for (what, script) in cases {
        let bad = Mock::start(script).await.unwrap();
        let house = House::before(&[("bad", &bad), ("good", &good)], "").await;
        for stream in [false, true] {
            let answer = house.talk().await.chat(&["bad/m", "good/m"], stream).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            assert!(
                answer.walk().ends_with("good/m=200"),
                "{what}: {}",
                answer.walk()
            );
        }
    }
}

#[tokio::test]
async fn an_interim_answer_does_not_stop_a_large_request() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let house = House::start(&yaml).await;
    let body = large(&["p/m"], 8 << 20);
    let mut talk = house.talk().await;
    let asking = talk.post(CHAT, &body);
    let answering = async {
        let mut wire = raw.accept().await;
        let head = wire.head().await;
        wire.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            .await;
        let length = body.len() - "p/".len();
        assert!(head.contains(&format!("content-length: {length}\r\n")));
        assert_eq!(
            wire.body(length).await,
            body.replacen("p/m", "m", 1).as_bytes()
        );
        wire.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        wire.answer(200, &said("m", "Hello")).await;
        wire
    };
    let (answer, _wire) = tokio::join!(asking, answering);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.walk(), "p/m=200");
}

#[tokio::test]
async fn nonsense_in_the_midst_of_a_large_request_falls_over() {
    let (raw, good) = (Raw::start().await, good().await);
    let bad = format!("  bad: {{ base_url: \"{}\" }}\n", raw.base_url());
    let house = House::start(&providers(&[("good", &good)], &bad)).await;
    let mut talk = house.talk().await;
    let body = large(&["bad/m", "good/m"], 16 << 20);
    let asking = talk.post(CHAT, &body);
    let answering = async {
        let mut wire = raw.accept().await;
        wire.head().await;
        wire.send("what?\r\n\r\n").await;
        wire.closed().await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.walk(), "bad/m=reset, good/m=200");
}

#[tokio::test]
async fn bytes_behind_an_answer_are_not_the_next_one_s() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    for _ in 0..3 {
        let asking = talk.chat(&["p/m"], false);
        let answering = async {
            let mut wire = raw.accept().await;
            wire.request().await;
            let (body, lie) = (said("m", "mine"), said("m", "another's"));
            let both = [&body, &lie].map(|body| {
                let length = body.len();
                format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n{body}")
            });
            wire.send(both.concat()).await;
            wire
        };
        // Each on a connection of its own: the last one's cannot be trusted.
        let (answer, mut wire) = tokio::join!(asking, answering);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "mine");
        wire.closed().await;
    }
}

#[tokio::test]
async fn one_that_never_reads_costs_its_share_of_the_time() {
    let never = Script::from(Reply::answer("Hello"))
        .greet(|_| Greeting::Ignore)
        .receive_buffer(4096);
    let (never, good) = (Mock::start(never).await.unwrap(), good().await);
    let times = "failover: { total_timeout: 1s }\n";
    let house = House::before(&[("never", &never), ("good", &good)], times).await;
    let body = large(&["never/m", "good/m"], 16 << 20);
    let answer = house.talk().await.post(CHAT, &body).await;
    assert_eq!(answer.walk(), "never/m=timeout, good/m=200");
}

#[tokio::test]
async fn an_early_no_ends_a_large_request() {
    let good = good().await;
    for (what, reply, status) in [
        (
            "429, then read",
            Reply::rate_limited(Some("1")).early(),
            429,
        ),
        (
            "429, never read",
            Reply::rate_limited(Some("1")).unread(),
            429,
        ),
        (
            "413, then read",
            Reply::json(413, r#"{"error":{}}"#).early(),
            413,
        ),
        (
            "413, never read",
            Reply::json(413, r#"{"error":{}}"#).unread(),
            413,
        ),
    ] {
        let early = Mock::start(reply).await.unwrap();
        let house = House::before(&[("early", &early), ("good", &good)], "").await;
        let mut talk = house.talk().await;
        for model in ["early/m", "early/n"] {
            let answer = talk.post(CHAT, &large(&[model, "good/m"], 8 << 20)).await;
            assert_eq!(
                answer.walk(),
                format!("{model}={status}, good/m=200"),
                "{what}"
            );
        }
        assert!(good.last().unwrap().body.len() > 8 << 20, "{what}");
        // What was not fully written is not spoken over again.
        assert_eq!(early.connections(), 2, "{what}");
    }
}

#[tokio::test]
async fn connections_are_kept_after_errors_and_answers() {
    let busy = Mock::start(Reply::rate_limited(Some("1"))).await.unwrap();
    let good = good().await;
    let house = House::before(&[("busy", &busy), ("good", &good)], "").await;
    // The pool may miss one that is just being put back.
    for (nth, stream) in [false, true].repeat(4).into_iter().enumerate() {
        let model = format!("busy/m{nth}");
        let answer = house.talk().await.chat(&[&model, "good/m"], stream).await;
        assert_eq!(answer.walk(), format!("{model}=429, good/m=200"));
        assert!(answer.whole);
    }
    assert!(busy.connections() < 4, "{}", busy.connections());
    assert!(good.connections() < 4, "{}", good.connections());
}

#[tokio::test]
async fn a_stale_connection_is_no_failure() {
    for script in [
        Script::from(Reply::answer("Hello")).stale_after(1),
        Script::from(Reply::answer("Hello")).close_after(1),
        Script::from(Reply::answer("Hello").close_silently()),
    ] {
        let stale = Mock::start(script).await.unwrap();
        let house = House::before(&[("p", &stale)], "").await;
        for size in [0, 0, 2 << 20, 2 << 20, 0] {
            let answer = house.talk().await.post(CHAT, &large(&["p/m"], size)).await;
            assert_eq!(answer.walk(), "p/m=200", "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    for begun in ["", "H", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let raw = Raw::start().await;
        let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
        let house = House::start(&yaml).await;
        let mut talk = house.talk().await;
        let answering = async {
            let mut wire = raw.accept().await;
            wire.request().await;
            wire.answer(200, &said("m", "Hello")).await;
            wire
        };
        let (first, mut wire) = tokio::join!(talk.chat(&["p/m"], false), answering);
        assert_eq!(first.walk(), "p/m=200");
        let answering = async {
            // On the connection that has served.
            wire.request().await;
            wire.send(begun).await;
            drop(wire);
            if !begun.is_empty() {
                return;
            }
            let mut wire = raw.accept().await;
            wire.request().await;
            wire.answer(200, &said("m", "Hello")).await;
        };
        let (second, ()) = tokio::join!(talk.chat(&["p/m"], false), answering);
        let walk = if begun.is_empty() {
            "p/m=200"
        } else {
            "p/m=reset"
        };
        assert_eq!(second.walk(), walk, "{begun:?}");
    }
}

#[tokio::test]
async fn a_value_of_several_lines_crosses_as_one() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    let answering = async {
        let mut wire = raw.accept().await;
        wire.request().await;
        let body = said("m", "Hello");
        wire.send(format!(
            "HTTP/1.1 200 X\r\nx-note: one\r\n x-standin-model: two\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        wire
    };
    let (answer, _wire) = tokio::join!(talk.chat(&["p/m"], false), answering);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-note"), Some("one   x-standin-model: two"));
    assert_eq!(answer.header("x-standin-model"), Some("p/m"));
}

#[tokio::test]
async fn a_fresh_connection_serves_those_that_follow() {
    let mut connections = Vec::new();
    // The pool may miss one that is just being put back; not each time.
    while connections.len() < 5 && !connections.contains(&2) {
        let stale = Script::from(Reply::answer("Hello")).stale_after(1);
        let mock = Mock::start(stale).await.unwrap();
        let house = House::before(&[("p", &mock)], "").await;
        for _ in 0..2 {
            assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
        }
        // The second one was asked for as a fresh one.
        mock.play(Reply::answer("Hello"));
        assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
        connections.push(mock.connections());
    }
    assert_eq!(connections.last(), Some(&2), "{connections:?}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_connect() {
    let good = good().await;
    let refused = Mock::refused().unwrap();
    let more = format!(
        "  nowhere: {{ base_url: \"http://nowhere.invalid/v1\" }}\n  refused: {{ base_url: \"{}\" }}\n  \
         tls: {{ base_url: \"https://{}/v1\" }}\n  late: {{ base_url: \"http://localhost:{}/v1\" }}\n",
        refused.base_url(),
        good.addr(),
        good.addr().port(),
    );
    let house = House::start(&providers(&[("good", &good)], &more)).await;
    let models = ["nowhere/m", "refused/m", "tls/m", "late/m"];
    let answer = house.talk().await.chat(&models, false).await;
    // `localhost` may be ::1 first, where nobody listens.
    assert_eq!(
        answer.walk(),
        "nowhere/m=connect, refused/m=connect, tls/m=connect, late/m=200"
    );
    let last = house.talk().await.chat(&models[..2], false).await;
    assert_eq!(
        (last.status, last.code().as_str()),
        (502, "upstream_unavailable")
    );
    assert_eq!(last.json()["attempts"][0]["outcome"], "connect");
}

#[tokio::test]
async fn a_rotated_key_is_used_for_the_next_request() {
    let mock = good().await;
    let folder = crate::house::Folder::new();
    let key = folder.write("key", "sk-old\n");
    let yaml = format!(
        "providers:\n  p: {{ base_url: \"{}\", api_key_file: {} }}\n",
        mock.base_url(),
        key.display()
    );
    let house = House::start(&yaml).await;
    let used = async || {
        house.talk().await.chat(&["p/m"], false).await;
        mock.last()
            .unwrap()
            .header("authorization")
            .unwrap()
            .to_owned()
    };
    assert_eq!(used().await, "Bearer sk-old");
    folder.write("key", "sk-rotated\n");
    house.logged("read again").await;
    assert_eq!(used().await, "Bearer sk-rotated");
    folder.write("key", "");
    house.logged("the old one stays").await;
    assert_eq!(used().await, "Bearer sk-rotated");
    assert!(!house.log().concat().contains("sk-"));
}

#[tokio::test]
async fn azure_wants_its_deployment_in_the_path() {
    let mock = Mock::start(Reply::answer("Hello").azure()).await.unwrap();
    let yaml = format!(
        "providers:\n  east: {{ kind: azure, base_url: \"http://{}\", api_key: az-key, api_version: 2024-10-21 }}\n\
         models:\n  gpt: {{ provider: east, upstream_model: \"prod 4o\" }}\n",
        mock.addr()
    );
    let house = House::start(&yaml).await;
    for stream in [false, true] {
        let answer = house.talk().await.chat(&["gpt"], stream).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = mock.last().unwrap();
        assert_eq!(
            seen.target,
            "/openai/deployments/prod%204o/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(seen.header("api-key"), Some("az-key"));
        assert_eq!(seen.header("authorization"), None);
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_attempt() {
    for place in [At::Start, At::Head, At::Byte(5)] {
        let mock = Mock::start(Reply::answer("Hello you").stall(place))
            .await
            .unwrap();
        let house = House::before(&[("p", &mock), ("q", &mock)], "").await;
        let mut asked = 0;
        for stream in [false, true] {
            let mut talk = house.talk().await;
            let body = chat(&["p/m", "q/m"], stream);
            talk.request("POST", CHAT, &[], body.as_bytes()).await;
            asked += 1;
            soon("the request", mock.wait_for(asked)).await;
            talk.stream.shutdown().await.unwrap();
            drop(talk);
            soon("the cut", mock.wait_closed(0)).await;
        }
        assert_eq!(mock.counts().seen, asked, "nobody else was asked");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_holds_its_own_stream_only() {
    let events = (0..4000).map(|_| {
        format!(
            "{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}",
            "x".repeat(4000)
        )
    });
    let mock = Mock::start(Script::by_model([
        ("flood", Script::from(Reply::stream(events))),
        ("m", Script::from(Reply::answer("Hello"))),
    ]));
    let mock = mock.await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut talk = house.talk().await;
        talk.request("POST", CHAT, &[], chat(&["p/flood"], true).as_bytes())
            .await;
        assert_eq!(talk.head().await.0, 200);
        deaf.push(talk);
    }
    let other = house.talk().await.chat(&["p/m"], true).await;
    assert!(other.whole);
    // The flood waits where it comes from.
    assert_eq!(mock.counts().answered, 1);
    drop(deaf);
    soon("the cuts", mock.wait_cancelled(4)).await;
}

#[tokio::test]
async fn a_slow_head_costs_only_its_own_time() {
    let slow = Mock::start(Reply::answer("Hello").stall(At::Start))
        .await
        .unwrap();
    let good = good().await;
    let times = "failover: { first_token_timeout: 200ms, answer_timeout: 200ms }\n";
    let house = House::before(&[("slow", &slow), ("good", &good)], times).await;
    for stream in [false, true] {
        let answer = house.talk().await.chat(&["slow/m", "good/m"], stream).await;
        assert_eq!(answer.walk(), "slow/m=timeout, good/m=200");
    }
    soon("the cut", slow.wait_closed(0)).await;
}
