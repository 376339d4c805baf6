//! Many requests of all kinds at once, against providers that keep their own
//! books: both agree to the last digit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use standin::mock::{At, Mock, Reply, Script, Seen, Usage, roll};
use standin::usage::Usd;
use tokio::task::JoinSet;

use crate::books::{Books, KEYS, close};
use crate::house::{House, soon};
use crate::talk::Talk;

/// Model and key.
type Who = (String, String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    requests: u64,
    input: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
    /// 10⁻¹² dollars.
    pico: u128,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.pico += other.pico;
    }
}

type Tallies = Arc<Mutex<BTreeMap<Who, Tally>>>;

/// Dollars for a million tokens: input, cached, output.
const PRICE: &str = "{ input: 2.5, cached_input: 0.3, output: 10.000001 }";

/// The same in 10⁻¹² dollars for a token.
fn cost(used: Usage) -> u128 {
    let [fresh, cached, output] = [used.input - used.cached, used.cached, used.output];
    u128::from(fresh) * 2_500_000 + u128::from(cached) * 300_000 + u128::from(output) * 10_000_001
}

/// A provider that plays by the model's name and notes what it will charge.
fn provider(name: &'static str, tallies: &Tallies) -> Script {
    let tallies = Arc::clone(tallies);
    let script = Script::new(move |seen: &Seen| {
        let model = seen.model().unwrap_or_default();
        let told = Usage {
            input: 100 + seen.number % 37,
            cached: seen.number % 23,
            output: 7 + seen.number % 11,
            reasoning: seen.number % 5,
        };
        // What the proxy can only guess: a quarter of the bytes.
        let asked: u64 = seen.header("x-test-length").unwrap().parse().unwrap();
        let guess = |said: u64| Usage {
            input: asked.div_ceil(4),
            output: said.div_ceil(4),
            ..Usage::default()
        };
        let hello = Reply::answer("Hello you");
        let (reply, used) = match model {
            "busy" => return Reply::unavailable(),
            "limited" => return Reply::rate_limited(Some("1")),
            "picky" => return Reply::rejected(),
            "torn" if seen.number.is_multiple_of(2) => (hello.cut(At::Event(3)), guess(9)),
            "left" => (hello.stall(At::Event(3)), guess(9)),
            "mute" => {
                let said = r#"{"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":"stop"}]}"#;
                (Reply::stream([said, "[DONE]"]), guess(6))
            }
            "zero" => (hello.usage(Usage::default()), Usage::default()),
            "long" => (Reply::completion(&"x".repeat(1_100_000)).usage(told), told),
            _ => (hello.usage(told), told),
        };
        let key = seen.header("x-test-key").unwrap().to_owned();
        let one = Tally {
            requests: 1,
            input: used.input,
            cached: used.cached,
            output: used.output,
            reasoning: used.reasoning,
            pico: cost(used),
        };
        let who = (format!("{name}/{model}"), key);
        tallies.lock().unwrap().entry(who).or_default().add(one);
        reply
    });
    script.remember(0)
}

const NAMES: [&str; 10] = [
    "busy", "left", "limited", "long", "mute", "ok", "other", "picky", "torn", "zero",
];

fn models() -> String {
    let mut lines = "models:\n".to_owned();
    for provider in ["a", "b"] {
        for name in NAMES {
            lines += &format!("  {provider}/{name}: {{ price: {PRICE} }}\n");
        }
    }
    lines
}

/// One request of a kind that its number picks; whether it was answered with
/// a 200.
async fn request(house: std::net::SocketAddr, talk: &mut Option<Talk>, number: u64) -> bool {
    let dice = roll(4, number);
    let key = KEYS[usize::try_from(dice % 3).unwrap()];
    let (models, stream): (&[&str], Option<bool>) = match dice / 3 % 40 {
        0..10 => (&["a/ok"], None),
        10..14 => (&["a/busy", "b/ok"], None),
        14..18 => (&["a/limited", "a/picky", "b/other"], None),
        18..21 => (&["a/busy", "b/busy"], None),
        21..24 => (&["a/torn", "b/ok"], Some(true)),
        24..27 => (&["b/left"], Some(true)),
        27..30 => (&["a/mute"], Some(true)),
        30..33 => (&["b/zero", "b/ok"], None),
        33 => (&["b/long"], Some(false)),
        _ => (&["b/other", "a/ok"], None),
    };
    let stream = stream.unwrap_or((dice / 1000).is_multiple_of(2));
    let mut body = json!({"models": models, "stream": stream, "messages": [], "n": dice % 1000});
    if stream && (dice / 2000).is_multiple_of(2) {
        body["stream_options"] = json!({"include_usage": true});
    }
    let body = body.to_string();
    let lines = [
        "content-type: application/json".to_owned(),
        format!("authorization: Bearer sk-{key}"),
        format!("x-test-key: {key}"),
        format!("x-test-length: {}", body.len()),
        format!("x-request-id: r{number}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut on = match talk.take() {
        Some(talk) => talk,
        None => Talk::to(house).await,
    };
    let path = if stream || models != ["a/ok"] {
        "/v1/chat/completions"
    } else {
        ["/v1/chat/completions", "/v1/completions", "/v1/responses"]
            [usize::try_from(dice / 7 % 3).unwrap()]
    };
    on.request("POST", path, &lines, body.as_bytes()).await;
    if models == ["b/left"] {
        let (status, _) = soon("a head", on.head()).await;
        let mut text = String::new();
        while status == 200 && !text.contains("you") {
            let chunk = soon("a chunk", on.chunk()).await.unwrap();
            text += std::str::from_utf8(&chunk).unwrap();
        }
        return status == 200;
    }
    let answer = on.answer().await;
    if answer.header("connection") != Some("close") && answer.whole {
        *talk = Some(on);
    }
    answer.status == 200
}

/// The ledger's rows added up in the same way.
fn ledger(rows: &[Value]) -> BTreeMap<Who, Tally> {
    let mut all: BTreeMap<Who, Tally> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let count = |name: &str| row[name].as_u64().unwrap();
        let cost: Usd = text("cost_usd").parse().unwrap();
        all.entry((text("model"), text("key")))
            .or_default()
            .add(Tally {
                requests: 1,
                input: count("input_tokens"),
                cached: count("cached_tokens"),
                output: count("output_tokens"),
                reasoning: count("reasoning_tokens"),
                pico: cost.pico(),
            });
    }
    all
}

fn total(all: &BTreeMap<Who, Tally>) -> Tally {
    let mut total = Tally::default();
    all.values().for_each(|tally| total.add(*tally));
    total
}

/// `STANDIN_REQUESTS` asks for more of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_and_providers_agree() {
    let requests = std::env::var("STANDIN_REQUESTS");
    let requests: u64 = requests.map_or(800, |count| count.parse().unwrap());
    let (books, tallies) = (Books::new(), Tallies::default());
    let a = Mock::start(provider("a", &tallies)).await.unwrap();
    let b = Mock::start(provider("b", &tallies)).await.unwrap();
    let more = format!("{}{}{}", models(), books.yaml("serve"), Books::keys());
    let house = House::before(&[("a", &a), ("b", &b)], &more).await;
    let (at, mut clients) = (house.at, JoinSet::new());
    for client in 0..64 {
        clients.spawn(async move {
            let (mut talk, mut answered) = (None, 0);
            let mut number = client;
            while number < requests {
                answered += u64::from(request(at, &mut talk, number).await);
                number += 64;
            }
            answered
        });
    }
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client.unwrap();
    }
    // The drain waits until those are written down whose clients have left.
    close(house).await;
    let rows = books.rows();
    let (have, want) = (ledger(&rows), tallies.lock().unwrap().clone());
    assert_eq!(have, want);
    assert_eq!(total(&have).requests, answered);
    assert!(answered < requests, "some failed altogether");
    let mut ids: Vec<&str> = rows
        .iter()
        .map(|row| row["request_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows.len());
    for ended in ["answered", "client_gone", "cut"] {
        assert!(rows.iter().any(|row| row["ended"] == ended), "{ended}");
    }
    // And `standin usage` adds up to the same.
    let totals = books
        .reader()
        .totals(std::time::SystemTime::UNIX_EPOCH, standin::ledger::By::Key);
    let totals = totals.unwrap();
    assert_eq!(totals.len(), KEYS.len());
    let cost: Usd = totals.values().map(|sums| sums.cost).sum();
    assert_eq!(cost.pico(), total(&want).pico);
}
