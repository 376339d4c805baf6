//! `kill -9` in the midst of load: what a client has seen the end of has its
//! row, and none has two.

use std::collections::HashSet;
use std::net::SocketAddr;

use serde_json::{Value, json};
use standin::mock::{At, Mock, Reply, Script, roll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::books::{Books, close, collect};
use crate::house::{House, PATIENCE, providers, soon};
use crate::talk::Talk;

const CLIENTS: u64 = 16;

/// What stands at the end of each kind of answer and nowhere else in it.
const KINDS: [(&str, &str, bool, &str); 6] = [
    ("/v1/chat/completions", "p/m", true, "data: [DONE]\n\n"),
    ("/v1/chat/completions", "p/m", false, "\"fp_mock\"}"),
    ("/v1/chat/completions", "p/long", false, "\"fp_mock\"}"),
    ("/v1/completions", "p/m", true, "data: [DONE]\n\n"),
    ("/v1/responses", "p/m", true, "event: response.completed"),
    ("/v1/chat/completions", "p/torn", true, "upstream_cut"),
];

fn provider() -> Script {
    Script::by_model([
        ("m", Reply::answer("Hello you")),
        ("long", Reply::completion(&"x".repeat(1_100_000))),
        ("torn", Reply::answer("Hello you").cut(At::Event(3))),
        ("busy", Reply::unavailable()),
    ])
}

/// One request on a connection of its own: whether its end has been seen.
async fn see(at: SocketAddr, id: &str, dice: u64) -> std::io::Result<bool> {
    let kind = usize::try_from(dice % KINDS.len() as u64).unwrap();
    let (path, model, stream, end) = KINDS[kind];
    let models = match dice / 6 % 3 {
        0 => json!(["p/busy", model]),
        _ => json!([model]),
    };
    let body = json!({"models": models, "stream": stream, "messages": [], "input": "Hello"});
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nx-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut wire = TcpStream::connect(at).await?;
    wire.write_all((head + &body).as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        if wire.read_buf(&mut seen).await? == 0 {
            return Ok(false);
        }
        // Only the last bytes can have become the end.
        let tail = &seen[seen.len().saturating_sub(70_000)..];
        let Some(at) = tail
            .windows(end.len())
            .position(|here| here == end.as_bytes())
        else {
            if tail.ends_with(b"\r\n0\r\n\r\n") {
                return Ok(false);
            }
            continue;
        };
        // An event is seen when its empty line is.
        if stream && !tail[at..].windows(2).any(|two| two == b"\n\n") {
            continue;
        }
        return Ok(true);
    }
}

/// Asks until the process is gone, and tells of each end that was seen.
async fn ask_on(at: SocketAddr, (round, client): (u64, u64), seen: UnboundedSender<String>) {
    for turn in 0.. {
        let id = format!("r{round}-{client}-{turn}");
        let dice = roll(round * 1000 + client, turn);
        let came = timeout(PATIENCE, see(at, &id, dice)).await;
        match came.expect("an answer hangs") {
            Ok(true) => seen.send(id).unwrap(),
            Ok(false) => {}
            Err(_) => return,
        }
    }
}

/// Collects rows from one process as a collector does; for ever, or until
/// there are no more.
async fn collected(admin: SocketAddr, rows: &mut Vec<Value>, is_last: bool) {
    let mut talk = Talk::to(admin).await;
    loop {
        let after = rows.last().map_or(0, |row| row["seq"].as_u64().unwrap());
        let page = collect(&mut talk, after, 50).await;
        if page.is_empty() && is_last {
            return;
        }
        rows.extend(page);
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    let ids = rows.iter().map(|row| row["request_id"].as_str().unwrap());
    ids.collect()
}

/// Each of these has one row, and none has two.
fn check(rows: &[Value], seen: &HashSet<String>) {
    let ids = ids(rows);
    let have: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(have.len(), ids.len(), "no row is there twice");
    let missing: Vec<_> = seen
        .iter()
        .filter(|id| !have.contains(id.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "seen to the end and not written down: {missing:?}"
    );
}

/// `STANDIN_ROUNDS` asks for more of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_seen_to_its_end_survives_kill_9() {
    let rounds = std::env::var("STANDIN_ROUNDS");
    let rounds: u64 = rounds.map_or(6, |rounds| rounds.parse().unwrap());
    let mock = Mock::start(provider().remember(0)).await.unwrap();
    let books = Books::new();
    let yaml = providers(&[("p", &mock)], &books.yaml("serve"));
    let (mut seen, mut collection) = (HashSet::new(), Vec::new());
    for round in 0..rounds {
        let mut house = House::start(&yaml).await;
        let (tell, mut told) = unbounded_channel();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(ask_on(house.at, (round, client), tell.clone()));
        }
        drop(tell);
        let enough = async {
            for _ in 0..=roll(9, round) % 120 {
                seen.insert(soon("an answer", told.recv()).await.unwrap());
            }
        };
        tokio::select! {
            () = enough => {}
            () = collected(house.admin, &mut collection, false) => unreachable!(),
        }
        house.signal("KILL");
        assert_eq!(house.ended().await.code(), None);
        while let Some(id) = soon("the clients' end", told.recv()).await {
            seen.insert(id);
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        // What is left on disk, before anybody has tidied it.
        check(&books.rows(), &seen);
    }
    let house = House::start(&yaml).await;
    check(&books.rows(), &seen);
    collected(house.admin, &mut collection, true).await;
    close(house).await;
    let rows = books.rows();
    check(&rows, &seen);
    assert_eq!(
        collection, rows,
        "a collector misses nothing and gets nothing twice"
    );
    let instances: HashSet<&str> = rows
        .iter()
        .map(|row| row["instance"].as_str().unwrap())
        .collect();
    assert_eq!(instances.len(), 1);
}
