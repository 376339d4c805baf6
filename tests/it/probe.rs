//! When the moment has come exactly one request finds out whether a target is
//! back, and nobody waits for it.

use std::sync::Arc;

use standin::mock::{At, Gate, Mock, Reply, Script, Step};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::house::{House, soon};
use crate::known::Looks;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";
const MODELS: [&str; 2] = ["p/m", "good/m"];
const COOLING: &str = "p/m=skipped:cooling, good/m=200";
const PROBING: &str = "p/m=skipped:probing, good/m=200";

/// A 429 that is soon over.
fn busy() -> Reply {
    Reply::rate_limited(None).header("retry-after-ms", "300")
}

/// Rate limited once, then as this says.
async fn house(mock: &Mock, good: &Mock, more: &str) -> House {
    let house = House::before(&[("p", mock), ("good", good)], more).await;
    let first = house.talk().await.chat(&MODELS, false).await;
    assert_eq!(first.walk(), "p/m=429, good/m=200");
    house
}

async fn mocks(then: impl IntoIterator<Item = Reply>) -> (Mock, Mock) {
    let script = Script::sequence([busy()].into_iter().chain(then));
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    (Mock::start(script).await.unwrap(), good)
}

/// Asks until a request is the probe, and leaves it unanswered.
async fn probe(house: &House, mock: &Mock, stream: bool) -> Talk {
    let seen = mock.counts().seen;
    let looks = Looks::for_("a probe");
    loop {
        let mut talk = house.talk().await;
        let body = chat(&MODELS, stream);
        let json = ["content-type: application/json"];
        talk.request("POST", CHAT, &json, body.as_bytes()).await;
        let mut peek = [0];
        tokio::select! {
            answers = talk.stream.peek(&mut peek) => {
                answers.unwrap();
                // A probe's answer may have begun as soon as it was seen.
                if mock.counts().seen > seen {
                    return talk;
                }
                let walk = talk.answer().await.walk().to_owned();
                assert_eq!(walk, COOLING);
                looks.again(&walk).await;
            }
            () = mock.wait_for(seen + 1) => return talk,
        }
    }
}

#[tokio::test]
async fn exactly_one_of_sixty_four_probes() {
    let gate = Gate::new();
    let held = Reply::answer("Hello").at(At::Start, Step::Hold(gate.clone()));
    let (mock, good) = mocks([held]).await;
    let house = house(&mock, &good, "").await;
    let start = Arc::new(Barrier::new(64));
    let mut clients = JoinSet::new();
    for client in 0..64 {
        let (at, start) = (house.at, Arc::clone(&start));
        clients.spawn(async move {
            let mut talk = Talk::to(at).await;
            start.wait().await;
            loop {
                let answer = talk.chat(&MODELS, client % 2 == 0).await;
                assert_eq!(answer.status, 200);
                if answer.walk() != COOLING {
                    return answer;
                }
            }
        });
    }
    for _ in 0..63 {
        let answer = soon("an answer", clients.join_next()).await;
        assert_eq!(answer.unwrap().unwrap().walk(), PROBING);
    }
    assert_eq!(mock.seen().len(), 2);
    assert_eq!(house.target("p/m").await["state"], "probing");
    for _ in 0..10 {
        let answer = house.talk().await.chat(&MODELS, true).await;
        assert_eq!(answer.walk(), PROBING);
    }
    gate.open();
    let probe = soon("the probe", clients.join_next()).await;
    assert_eq!(probe.unwrap().unwrap().walk(), "p/m=200");
    for _ in 0..10 {
        let answer = house.talk().await.chat(&MODELS, true).await;
        assert_eq!(answer.walk(), "p/m=200");
    }
    assert_eq!(house.target("p/m").await["state"], "healthy");
    assert_eq!(mock.seen().len(), 12);
    assert_eq!(house.lines("target p/m is cooling").await, 1);
    assert_eq!(house.lines("target p/m is healthy").await, 1);
}

#[tokio::test]
async fn a_probe_whose_client_leaves_gives_its_place_back() {
    for stream in [false, true] {
        let held = Reply::answer("Hello").stall(At::Start);
        let (mock, good) = mocks([held.clone(), held, Reply::answer("Hello")]).await;
        let house = house(&mock, &good, "").await;
        for left in 1..=2 {
            let talk = probe_again(&house, &mock, stream).await;
            drop(talk);
            soon("the cancel", mock.wait_cancelled(left)).await;
        }
        house.asks_until(&MODELS, "p/m=200", &[PROBING]).await;
        assert_eq!(mock.seen().len(), 4);
        assert_eq!(house.target("p/m").await["consecutive_failures"], 0);
        assert_eq!(house.lines("target p/m is open").await, 0);
    }
}

/// As [`probe`], also while the one before may not be known to have ended.
async fn probe_again(house: &House, mock: &Mock, stream: bool) -> Talk {
    let looks = Looks::for_("a free place");
    while house.target("p/m").await["state"] == "probing" {
        looks.again("probing").await;
    }
    probe(house, mock, stream).await
}

#[tokio::test]
async fn a_probe_whose_client_leaves_in_its_stream_has_shown_that_it_answers() {
    let held = Reply::answer("Hello you").stall(At::Event(2));
    let (mock, good) = mocks([held, Reply::answer("Hello")]).await;
    let house = house(&mock, &good, "").await;
    let mut talk = probe(&house, &mock, true).await;
    let (status, headers) = soon("the head", talk.head()).await;
    assert_eq!(status, 200);
    let walk = ("x-standin-attempts".to_owned(), "p/m=200".to_owned());
    assert!(headers.contains(&walk));
    drop(talk);
    soon("the cancel", mock.wait_cancelled(1)).await;
    assert_eq!(
        house.talk().await.chat(&MODELS, false).await.walk(),
        "p/m=200"
    );
    assert_eq!(house.target("p/m").await["consecutive_failures"], 0);
}

#[tokio::test]
async fn a_probe_that_is_cut_in_its_stream_counts_as_cut() {
    for (failures, opens) in [(1, true), (5, false)] {
        let cut = Reply::answer("Hello you").cut(At::Event(3));
        let (mock, good) = mocks([cut, Reply::answer("Hello")]).await;
        let more = format!("health: {{ failures: {failures}, cooldown: 300ms }}\n");
        let house = house(&mock, &good, &more).await;
        let mut talk = probe(&house, &mock, true).await;
        let answer = talk.answer().await;
        assert_eq!(answer.walk(), "p/m=200");
        let last = answer.events().pop().unwrap();
        assert!(last.contains("upstream_cut"), "{last}");
        // What was noted of it stands by the time that its line does.
        house.logged("ended=cut").await;
        let next = house.talk().await.chat(&MODELS, false).await;
        let (walk, lines) = if opens {
            ("p/m=skipped:open, good/m=200", 1)
        } else {
            ("p/m=200", 0)
        };
        assert_eq!(next.walk(), walk);
        assert_eq!(house.lines("target p/m is open").await, lines);
    }
}

#[tokio::test]
async fn a_probe_that_fails_makes_the_wait_longer() {
    let bad = Reply::internal_error();
    let more = "health: { failures: 1, cooldown: 150ms, max_cooldown: 1h }\n";
    let script = Script::sequence([bad.clone(), bad.clone(), bad, Reply::answer("Hello")]);
    let mock = Mock::start(script).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock), ("good", &good)], more).await;
    let models = ["p/m", "good/m"];
    let open = "p/m=skipped:open, good/m=200";
    let failed = "p/m=500, good/m=200";
    house.asks_until(&models, "p/m=200", &[open, failed]).await;
    house.caught_up().await;
    let log = house.log();
    let waits = log.iter().filter_map(|line| {
        let wait = line.split_once("target p/m is open for ")?.1;
        wait.split(' ').next()?.parse().ok()
    });
    let waits: Vec<u64> = waits.collect();
    assert_eq!(waits.len(), 3, "{log:#?}");
    for (wait, least) in waits.into_iter().zip([150, 300, 600]) {
        // With a millisecond that may pass, and up to a sixteenth more.
        assert!(
            (least - 1..=least + least / 16 + 1).contains(&wait),
            "{wait}"
        );
    }
    assert_eq!(mock.seen().len(), 4);
}
