//! A provider dies under load and comes back: nobody pays for it twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use standin::mock::{Mock, Reply, Step};
use tokio::task::JoinSet;

use crate::house::{House, soon};
use crate::known::{Looks, is_time};
use crate::talk::Talk;

const CLIENTS: usize = 16;
const MODELS: [&str; 2] = ["p/m", "good/m"];

/// Many clients that ask without a pause.
struct Load {
    clients: JoinSet<Vec<Asked>>,
    flags: Arc<Flags>,
}

#[derive(Default)]
struct Flags {
    /// The breaker was seen to be open.
    is_open: AtomicBool,
    /// Enough.
    ends: AtomicBool,
}

struct Asked {
    /// It was sent when the breaker had been seen to be open.
    is_late: bool,
    walk: String,
}

impl Load {
    fn on(house: &House) -> Self {
        let flags = Arc::new(Flags::default());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (at, flags) = (house.at, Arc::clone(&flags));
            clients.spawn(async move {
                let mut talk = Talk::to(at).await;
                let mut asked = Vec::new();
                while !flags.ends.load(Ordering::SeqCst) {
                    let is_late = flags.is_open.load(Ordering::SeqCst);
                    let stream = (client + asked.len()) % 2 == 0;
                    let answer = talk.chat(&MODELS, stream).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let walk = answer.walk().to_owned();
                    asked.push(Asked { is_late, walk });
                }
                asked
            });
        }
        Self { clients, flags }
    }

    fn sees_it_open(&self) {
        self.flags.is_open.store(true, Ordering::SeqCst);
    }

    async fn end(mut self) -> Vec<Asked> {
        self.flags.ends.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(asked) = soon("a client's end", self.clients.join_next()).await {
            all.extend(asked.unwrap());
        }
        all
    }
}

/// Waits until `/status` says so of something.
async fn becomes(what: &str, mut look: impl AsyncFnMut() -> Value, states: &[&str]) -> Value {
    let looks = Looks::for_(what);
    loop {
        let told = look().await;
        if states.iter().any(|state| told["state"] == **state) {
            return told;
        }
        looks.again(&told.to_string()).await;
    }
}

/// What the log says of `subject`, in order: `open` or `healthy`.
fn changes(house: &House, subject: &str) -> Vec<String> {
    let start = format!("{subject} is ");
    let log = house.log();
    let said = log.iter().filter_map(|line| line.split_once(&start));
    said.map(|(_, state)| state.split(' ').next().unwrap().to_owned())
        .collect()
}

/// Of what was sent when it was known to be open, how many attempts failed,
/// and that all others were answered by the backup or by the one that is back.
fn failed_late(all: &[Asked]) -> usize {
    let late = all.iter().filter(|asked| asked.is_late);
    late.filter(|asked| match asked.walk.as_str() {
        "p/m=200" | "p/m=skipped:open, good/m=200" | "p/m=skipped:probing, good/m=200" => false,
        walk if walk.ends_with(", good/m=200") => true,
        walk => panic!("{walk}"),
    })
    .count()
}

const HEALTH: &str = "health: { cooldown: 300ms, max_cooldown: 300ms }\n";

#[tokio::test]
async fn a_provider_that_is_gone_is_left_alone_until_it_is_back() {
    let mut mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock), ("good", &good)], HEALTH).await;
    let load = Load::on(&house);
    soon("the load", mock.wait_for(100)).await;
    let told = house.target("p/m").await;
    assert!(told.is_null() || told["state"] == "healthy", "{told}");
    mock.stop().await;
    let refused = Mock::refused_at(mock.addr()).unwrap();

    let connection = async || house.provider("p").await["connection"].clone();
    let told = becomes("the breaker", connection, &["open", "probing"]).await;
    load.sees_it_open();
    assert!(is_time(&told["until"]), "{told}");
    assert!(told["consecutive_failures"].as_u64() >= Some(5), "{told}");
    let told = house.provider("p").await;
    assert!(is_time(&told["since"]), "{told}");
    assert!(is_time(&told["last_error"]["at"]), "{told}");
    let outcome = told["last_error"]["outcome"].as_str().unwrap();
    assert!(["connect", "reset"].contains(&outcome), "{told}");
    assert_eq!(told["credential"]["state"], "healthy");

    // It stays away for some probes.
    let looks = Looks::for_("probes");
    while changes(&house, "provider p").len() < 4 {
        looks.again("").await;
    }
    let before = changes(&house, "provider p");
    assert!(before.iter().all(|state| state == "open"), "{before:?}");
    let back = Mock::bind(refused.addr(), Reply::answer("Hello"))
        .await
        .unwrap();
    soon("the first one back", back.wait_for(1)).await;
    let connection = async || house.provider("p").await["connection"].clone();
    let told = becomes("its health", connection, &["healthy"]).await;
    assert_eq!(
        (&told["until"], &told["consecutive_failures"]),
        (&Value::Null, &0.into())
    );
    soon("the load", back.wait_for(100)).await;
    let all = load.end().await;
    house.caught_up().await;
    let changes = changes(&house, "provider p");
    let (last, opened) = changes.split_last().unwrap();
    assert!(opened.iter().all(|state| state == "open"), "{changes:?}");
    assert_eq!(last, "healthy", "one line for each change: {changes:?}");
    // At most the probe that was on its way met nobody any more, and one whose
    // line had not been read.
    assert!(opened.len() <= before.len() + 2, "{changes:?}");
    // The first of them opened the breaker; each other one was a probe.
    let failed = failed_late(&all);
    assert!(failed < opened.len(), "{failed} of {changes:?}");
}

#[tokio::test]
async fn a_target_that_hangs_is_left_alone_until_it_answers() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let times = "failover: { first_token_timeout: 200ms, answer_timeout: 200ms }\n";
    let homes = "models:\n  p/m: {}\n";
    let more = format!("{homes}{times}{HEALTH}");
    let house = House::before(&[("p", &mock), ("good", &good)], &more).await;
    let load = Load::on(&house);
    soon("the load", mock.wait_for(100)).await;
    let healthy = house.target("p/m").await;
    assert_eq!(healthy["state"], "healthy");
    assert_eq!(healthy["last_error"], Value::Null);
    mock.play(Reply::steps([Step::Stall]));

    let target = async || house.target("p/m").await;
    let told = becomes("the breaker", target, &["open", "probing"]).await;
    load.sees_it_open();
    assert!(told["consecutive_failures"].as_u64() >= Some(5), "{told}");
    assert_eq!(told["held_by"], "target");
    assert_eq!(told["why"], "timeout");
    assert_eq!(told["last_error"]["outcome"], "timeout");
    assert_eq!(told["last_error"]["status"], Value::Null);
    assert!(is_time(&told["since"]) && is_time(&told["until"]), "{told}");
    assert_ne!(told["since"], healthy["since"]);
    // Those that were on their way when it opened have ended by the time that
    // two probes have; from then on only probes arrive.
    let looks = Looks::for_("probes");
    while changes(&house, "target p/m").len() < 3 {
        looks.again("").await;
    }
    let (seen, opened) = (mock.counts().seen, changes(&house, "target p/m").len());
    while changes(&house, "target p/m").len() < opened + 2 {
        looks.again("").await;
    }
    let probes = changes(&house, "target p/m").len() - opened;
    let arrived = mock.counts().seen - seen;
    // One may be on its way at either end.
    assert!(
        arrived <= probes as u64 + 2,
        "{arrived} for {probes} probes"
    );
    mock.play(Reply::answer("Hello"));
    let target = async || house.target("p/m").await;
    let told = becomes("its health", target, &["healthy"]).await;
    assert_eq!((&told["until"], &told["why"]), (&Value::Null, &Value::Null));
    assert_eq!(told["consecutive_failures"], 0);
    assert_eq!(told["last_error"]["outcome"], "timeout");
    let seen = mock.counts().seen;
    soon("the load", mock.wait_for(seen + 100)).await;
    let all = load.end().await;
    house.caught_up().await;
    let changes = changes(&house, "target p/m");
    let (last, opened) = changes.split_last().unwrap();
    assert!(opened.iter().all(|state| state == "open"), "{changes:?}");
    assert_eq!(last, "healthy", "one line for each change: {changes:?}");
    let failed = failed_late(&all);
    assert!(failed < opened.len(), "{failed} of {changes:?}");
}
