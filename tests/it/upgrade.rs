//! One process hands over to another: no request notices, no row is lost, and
//! where it fails the old one serves on.

use std::collections::HashSet;
use std::io::IoSlice;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use serde_json::{Value, json};
use standin::config::{self, OnError};
use standin::ledger::Ledger;
use standin::mock::{At, Gate, Mock, Reply, Script, Step, roll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinSet;

use crate::books::{Books, close};
use crate::house::{Folder, House, providers, soon, whole};
use crate::http2::{H2, taken};
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// Where processes meet and write.
struct Site {
    folder: Folder,
    books: Books,
}

impl Site {
    fn new() -> Self {
        let (folder, books) = (Folder::new(), Books::new());
        Self { folder, books }
    }

    fn socket(&self) -> PathBuf {
        self.folder.file("upgrade")
    }

    fn yaml(&self, mock: &Mock, more: &str) -> String {
        let (ledger, socket) = (self.books.yaml("serve"), self.socket());
        let shutdown = format!("shutdown: {{ upgrade_socket: \"{}\" }}\n", socket.display());
        providers(&[("p", mock)], &format!("{more}{ledger}{shutdown}"))
    }

    /// The folder of its ledger, as another process would name it.
    fn place(&self) -> Value {
        let place = Ledger::place(&self.books.folder.file("usage.db"));
        place.unwrap().to_str().unwrap().into()
    }

    fn open_ledger(&self) -> Ledger {
        let config = config::Ledger {
            path: self.books.folder.file("usage.db"),
            on_error: OnError::Serve,
            retention: None,
        };
        Ledger::open(&config, || SystemTime::UNIX_EPOCH).unwrap()
    }

    /// Every request has its row, and numbers have no gap.
    fn check(&self, ids: &[String]) {
        let rows = self.books.rows();
        let numbers: Vec<u64> = rows
            .iter()
            .map(|row| row["seq"].as_u64().unwrap())
            .collect();
        let dense: Vec<u64> = (1..=rows.len() as u64).collect();
        assert_eq!(numbers, dense);
        let have: HashSet<&str> = rows
            .iter()
            .map(|row| row["request_id"].as_str().unwrap())
            .collect();
        assert_eq!(have.len(), rows.len(), "no row is there twice");
        assert_eq!(have, ids.iter().map(String::as_str).collect());
    }
}

/// Starts one that takes over, before it serves.
fn coming(yaml: &str) -> House {
    let folder = Folder::new();
    let path = folder.write("standin.yaml", &whole(yaml));
    House::spawn(folder, &path, |command| {
        command.arg("--upgrade");
    })
}

/// One that takes over from this, which has been left when this is done.
async fn upgrade(old: &House, yaml: &str) -> House {
    old.signal("QUIT");
    let new = coming(yaml).serving().await;
    old.logged("this one accepts no more").await;
    new
}

/// Asks on a connection of its own.
async fn ask(at: SocketAddr, id: &str) {
    let line = format!("x-request-id: {id}");
    let mut talk = Talk::to(at).await;
    let answer = talk.post_with(CHAT, &[&line], &chat(&["p/m"], false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.whole);
}

/// Begins a stream that waits for the gate.
async fn begin(at: SocketAddr, id: &str) -> Talk {
    let line = format!("x-request-id: {id}");
    let mut talk = Talk::to(at).await;
    let body = chat(&["p/slow"], true);
    talk.request("POST", CHAT, &[&line], body.as_bytes()).await;
    assert_eq!(talk.head().await.0, 200);
    talk
}

/// Takes the rest of it.
async fn finish(mut talk: Talk) {
    let mut text = String::new();
    while let Some(chunk) = soon("a chunk", talk.chunk()).await {
        if chunk.is_empty() {
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            return talk.closed().await;
        }
        text += std::str::from_utf8(&chunk).unwrap();
    }
    panic!("cut off after {text}");
}

/// `m` answers, and `slow` waits for the gate in the middle of its stream.
async fn provider(gate: &Gate) -> Mock {
    let hello = Reply::answer("Hello you");
    let slow = hello.clone().at(At::Event(2), Step::Hold(gate.clone()));
    let script = Script::by_model([("m", hello), ("slow", slow)]);
    Mock::start(script.remember(0)).await.unwrap()
}

/// Asks all the time, each request on a connection of its own.
struct Crowd {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    clients: JoinSet<Vec<String>>,
}

impl Crowd {
    fn begin(at: SocketAddr) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            clients.spawn(async move {
                let mut ids = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("c{client}-{}", ids.len());
                    ask(at, &id).await;
                    ids.push(id);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                ids
            });
        }
        Self {
            stop,
            count,
            clients,
        }
    }

    /// Waits until they have had so many more answers.
    async fn more(&self, answers: u64) {
        let until = self.count.load(Ordering::Relaxed) + answers;
        let came = async {
            while self.count.load(Ordering::Relaxed) < until {
                tokio::task::yield_now().await;
            }
        };
        soon("answers", came).await;
    }

    async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ids = Vec::new();
        while let Some(these) = soon("a client's end", self.clients.join_next()).await {
            ids.extend(these.unwrap());
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_notices_and_each_has_its_row() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let mut ids = Vec::new();
    let mut streams = Vec::new();
    for n in 0..72 {
        ids.push(format!("s{n}"));
        streams.push(begin(old.at, &ids[n]).await);
    }
    let h2 = H2::to(old.at).await;
    let (answer, mut send) = h2.begin_with(CHAT, &[("x-request-id", "h2")]).await;
    send.send_data(chat(&["p/slow"], true).into(), true)
        .unwrap();
    ids.push("h2".to_owned());
    let crowd = Crowd::begin(old.at);
    crowd.more(50).await;
    let new = upgrade(&old, &yaml).await;
    assert_eq!((new.at, new.admin), (old.at, old.admin));
    crowd.more(50).await;
    // Who comes now finds the new one, and who is there stays with the old.
    let mut admin = Talk::to(new.admin).await;
    assert_eq!(admin.get("/readyz").await.status, 200);
    gate.open();
    for stream in streams {
        finish(stream).await;
    }
    assert_eq!(soon("an answer", taken(answer)).await.unwrap().status, 200);
    h2.ended().await.unwrap();
    assert_eq!(old.ended().await.code(), Some(0));
    crowd.more(20).await;
    ids.extend(crowd.end().await);
    close(new).await;
    site.check(&ids);
}

#[tokio::test]
async fn a_connection_that_is_kept_is_served_once_more() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let (mut used, silent) = (old.talk().await, old.talk().await);
    assert_eq!(used.chat(&["p/m"], false).await.status, 200);
    let mut scraper = Talk::to(old.admin).await;
    assert_eq!(scraper.get("/readyz").await.status, 200);
    let new = upgrade(&old, &yaml).await;
    // It does not take the service for unready, and comes back to the new one.
    assert_eq!(scraper.get("/readyz").await.status, 200);
    scraper.closed().await;
    for mut talk in [used, silent] {
        let answer = talk.chat(&["p/m"], false).await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
        talk.closed().await;
    }
    assert_eq!(old.ended().await.code(), Some(0));
    assert_eq!(new.talk().await.chat(&["p/m"], false).await.status, 200);
    close(new).await;
    assert_eq!(site.books.rows().len(), 4);
}

#[tokio::test]
async fn the_new_one_may_come_first() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let new = coming(&yaml);
    new.logged("looking 10s").await;
    ask(old.at, "before").await;
    old.signal("QUIT");
    let new = new.serving().await;
    assert_eq!(old.ended().await.code(), Some(0));
    ask(new.at, "after").await;
    site.check(&["before".to_owned(), "after".to_owned()]);
}

#[tokio::test]
async fn a_new_one_that_cannot_leaves_the_old_one_serving() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    old.signal("QUIT");
    old.logged("waiting 10s").await;
    // A second wish changes nothing.
    old.signal("QUIT");
    for bad in ["nonsense: 1\n", "keys: [{ name: x }]\n"] {
        assert_eq!(coming(&site.yaml(&mock, bad)).ended().await.code(), Some(2));
    }
    ask(old.at, "still").await;
    // This one is good until it is to listen somewhere else.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!(
        "listen: [\"127.0.0.1:0\", \"{}\"]\n",
        other.local_addr().unwrap()
    );
    let mut bad = coming(&site.yaml(&mock, &taken));
    assert_eq!(bad.ended().await.code(), Some(1));
    bad.logged("cannot listen on").await;
    let line = old.logged("not done, and this process serves on").await;
    assert!(line.contains("cannot listen on"), "{line}");
    ask(old.at, "again").await;
    let new = upgrade(&old, &yaml).await;
    assert_eq!(old.ended().await.code(), Some(0));
    ask(new.at, "new").await;
    site.check(&["still", "again", "new"].map(str::to_owned));
}

#[tokio::test]
async fn without_a_socket_nothing_is_handed_over() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    house.signal("QUIT");
    house.logged("there is no `shutdown.upgrade_socket`").await;
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    let mut new = coming(&providers(&[("p", &mock)], ""));
    assert_eq!(new.ended().await.code(), Some(2));
    new.logged("`--upgrade` takes over at `shutdown.upgrade_socket`")
        .await;
}

/// One end of the hand-over, spoken by a test.
struct Wire(UnixStream);

impl Wire {
    async fn to(site: &Site) -> Self {
        let connect = async {
            loop {
                if let Ok(stream) = UnixStream::connect(site.socket()).await {
                    return Self(stream);
                }
                tokio::task::yield_now().await;
            }
        };
        soon("the old process", connect).await
    }

    async fn say(&mut self, word: Value) {
        self.text(&json!({"standin": 1, "say": word}).to_string())
            .await;
    }

    async fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        let bytes = [&length[..], text.as_bytes()].concat();
        // Who has left already is found out by what is heard.
        let _ = self.0.write_all(&bytes).await;
    }

    async fn hear(&mut self) -> Value {
        let mut length = [0; 4];
        soon("a message", self.0.read_exact(&mut length))
            .await
            .unwrap();
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut text).await.unwrap();
        let said: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(said["standin"], 1);
        said["say"].clone()
    }

    /// Says hello, and takes the sockets without keeping them.
    async fn take(&mut self) {
        self.say(json!({"hello": {"process": 7, "version": "x"}}))
            .await;
        assert_eq!(self.hear().await["sockets"].as_array().unwrap().len(), 2);
        soon("the sockets", self.0.read_u8()).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_one_may_die_at_any_step() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let at = old.at;
    let mut ids = Vec::new();
    for step in 0..7 {
        let id = format!("before-{step}");
        ask(at, &id).await;
        ids.push(id);
        old.signal("QUIT");
        old.logged_again("waiting 10s", step + 1).await;
        let mut wire = Wire::to(&site).await;
        let ready = |ledger: Value| json!({"ready": {"kept": [0, 1], "ledger": ledger}});
        match step {
            // Right after it has said hello.
            0 => {
                wire.say(json!({"hello": {"process": 7, "version": "x"}}))
                    .await
            }
            1 => wire.take().await,
            2 => {
                wire.take().await;
                wire.say(json!({"failed": "no key"})).await;
            }
            3 => {
                wire.take().await;
                wire.text("{\"standin\":2,\"say\":\"ready\"}").await;
                assert!(wire.hear().await["failed"].is_string());
            }
            4 => {
                wire.take().await;
                wire.say(json!("serving")).await;
                assert!(wire.hear().await["failed"].is_string());
            }
            5 => {
                wire.take().await;
                wire.say(ready(Value::Null)).await;
                assert_eq!(wire.hear().await, "go");
            }
            _ => {
                wire.take().await;
                wire.say(ready(site.place())).await;
                assert_eq!(wire.hear().await, "go");
                let ledger = site.open_ledger();
                // What ends meanwhile is written all the same.
                ask(at, "meanwhile").await;
                ids.push("meanwhile".to_owned());
                ledger.flush().unwrap();
                drop(ledger);
            }
        }
        drop(wire);
        old.logged_again("not done, and this process serves on", step + 1)
            .await;
    }
    let log = old.log().join("\n");
    assert!(
        log.contains("gives up: no key") && log.contains("in version 2"),
        "{log}"
    );
    ask(at, "after").await;
    ids.push("after".to_owned());
    // The ledger is its own again: the next one would not get it otherwise.
    let new = upgrade(&old, &yaml).await;
    assert_eq!(old.ended().await.code(), Some(0));
    ask(at, "new").await;
    ids.push("new".to_owned());
    close(new).await;
    site.check(&ids);
}

#[tokio::test]
async fn an_old_one_that_hears_of_it_late_looks_who_is_there() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    for (round, says) in [true, false].into_iter().enumerate() {
        old.signal("QUIT");
        old.logged_again("waiting 10s", round + 1).await;
        let mut wire = Wire::to(&site).await;
        wire.take().await;
        wire.say(json!({"ready": {"kept": [0, 1], "ledger": null}}))
            .await;
        assert_eq!(wire.hear().await, "go");
        old.signal("STOP");
        wire.say(json!("serving")).await;
        if says {
            wire.say(json!({"failed": "too long"})).await;
        }
        drop(wire);
        old.signal("CONT");
        let failed = "not done, and this process serves on";
        assert!(
            old.logged_or_ended(failed, round + 1).await,
            "nobody is left"
        );
        ask(old.at, &format!("still-{round}")).await;
    }
    assert!(old.log().join("\n").contains("gives up: too long"));
    let new = upgrade(&old, &yaml).await;
    assert_eq!(old.ended().await.code(), Some(0));
    close(new).await;
    site.check(&["still-0", "still-1"].map(str::to_owned));
}

/// One that takes over from the test, up to its `ready`; with what it listens
/// on, its own sockets beside those of the test.
async fn readied(site: &Site, yaml: &str) -> (House, Wire, Vec<TcpListener>) {
    let _ = std::fs::remove_file(site.socket());
    let listener = UnixListener::bind(site.socket()).unwrap();
    let new = coming(yaml);
    let mut wire = Wire(soon("a new process", listener.accept()).await.unwrap().0);
    assert!(wire.hear().await["hello"]["process"].is_number());
    let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
    let both: Vec<_> = (0..2).map(bind).collect();
    wire.say(json!({"sockets": [
        {"door": "listen", "configured": "127.0.0.1:0"},
        {"door": "admin", "configured": "127.0.0.1:0"},
    ]}))
    .await;
    send(&wire, &both);
    assert_eq!(wire.hear().await["ready"]["kept"], json!([0, 1]));
    (new, wire, both)
}

#[tokio::test]
async fn a_new_one_that_serves_ends_only_when_it_hears_that_the_other_does() {
    // Together: each waits for ten seconds.
    tokio::join!(
        late("failed"),
        late("leaving"),
        late("nothing"),
        late("nonsense")
    );
}

/// An old process says this long after the new one serves.
async fn late(says: &str) {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let (new, mut wire, both) = readied(&site, &site.yaml(&mock, "")).await;
    wire.say(json!("go")).await;
    assert_eq!(wire.hear().await, "serving");
    let mut new = new.serving().await;
    new.logged("says nothing for 10s").await;
    ask(new.at, "meanwhile").await;
    match says {
        "failed" => {
            let stream = begin(new.at, "then").await;
            wire.say(json!({"failed": "too late"})).await;
            new.logged("draining").await;
            // Who comes now is the other's.
            let _waits = Talk::to(new.at).await;
            both[0].set_nonblocking(true).unwrap();
            both[0].accept().unwrap();
            gate.open();
            finish(stream).await;
            assert_eq!(new.ended().await.code(), Some(1));
            new.logged("too late").await;
        }
        "leaving" => wire.say(json!("leaving")).await,
        "nothing" => {
            drop(wire);
            new.logged("goes on alone").await;
        }
        _ => {
            wire.say(json!("hello you")).await;
            new.logged("and perhaps the old one too").await;
        }
    }
    if says != "failed" {
        // What waited until it was decided is done.
        new.signal("HUP");
        new.logged("configuration reloaded").await;
        ask(new.at, "then").await;
        close(new).await;
    }
    site.check(&["meanwhile", "then"].map(str::to_owned));
}

#[tokio::test]
async fn of_two_new_ones_one_takes_over() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let mut both = [coming(&yaml), coming(&yaml)];
    for new in &both {
        new.logged("looking 10s").await;
    }
    old.signal("QUIT");
    assert_eq!(old.ended().await.code(), Some(0));
    let [one, other] = &mut both;
    // The one that has found nobody ends; this waits for the contract's ten seconds.
    let (ended, other) = tokio::select! {
        ended = one.ended() => (ended, "second"),
        ended = other.ended() => (ended, "first"),
    };
    assert_eq!(ended.code(), Some(1));
    let [one, two] = both;
    let (stays, gone) = if other == "first" {
        (one, two)
    } else {
        (two, one)
    };
    gone.logged("no running process has handed over").await;
    let stays = stays.serving().await;
    assert_eq!(stays.at, old.at);
    ask(old.at, "new").await;
    site.check(&["new".to_owned()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn again_while_the_first_still_drains() {
    let (site, gates) = (Site::new(), [Gate::new(), Gate::new(), Gate::new()]);
    let mock = provider(&gates[0]).await;
    let yaml = site.yaml(&mock, "");
    let mut houses = vec![House::start(&yaml).await];
    let at = houses[0].at;
    let crowd = Crowd::begin(at);
    let (mut ids, mut streams) = (Vec::new(), Vec::new());
    for round in 0..3 {
        for n in 0..5 {
            ids.push(format!("s{round}-{n}"));
            streams.push(begin(at, ids.last().unwrap()).await);
        }
        crowd.more(10).await;
        let new = upgrade(houses.last().unwrap(), &yaml).await;
        assert_eq!(new.at, at);
        houses.push(new);
    }
    crowd.more(10).await;
    gates[0].open();
    for stream in streams {
        finish(stream).await;
    }
    let last = houses.pop().unwrap();
    for house in &mut houses {
        assert_eq!(house.ended().await.code(), Some(0));
    }
    ids.extend(crowd.end().await);
    close(last).await;
    site.check(&ids);
}

#[tokio::test]
async fn an_old_one_that_is_killed_takes_no_finished_row_with_it() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut old = House::start(&yaml).await;
    let mut kept = old.talk().await;
    assert_eq!(kept.get("/v1/models").await.status, 200);
    let _stuck = begin(old.at, "stuck").await;
    ask(old.at, "before").await;
    let new = upgrade(&old, &yaml).await;
    let body = chat(&["p/m"], false);
    let answer = kept.post_with(CHAT, &["x-request-id: left"], &body).await;
    assert_eq!(answer.status, 200);
    old.signal("KILL");
    assert_eq!(old.ended().await.code(), None);
    ask(new.at, "after").await;
    close(new).await;
    site.check(&["before", "left", "after"].map(str::to_owned));
}

/// Asks as long as it may, whoever is there: the ids of the answers that it has
/// seen to their ends.
async fn ask_on(
    client: u64,
    at: Receiver<Option<SocketAddr>>,
    count: Arc<AtomicU64>,
) -> Vec<String> {
    let mut seen = Vec::new();
    for turn in 0.. {
        let Some(to) = *at.borrow() else { break };
        let (id, body) = (format!("k{client}-{turn}"), chat(&["p/m"], turn % 2 == 0));
        let length = body.len();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\nx-request-id: {id}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let ask = async {
            let mut wire = TcpStream::connect(to).await?;
            wire.write_all((head + &body).as_bytes()).await?;
            let mut text = String::new();
            wire.read_to_string(&mut text).await?;
            std::io::Result::Ok(text)
        };
        match soon("an answer or none", ask).await {
            Ok(text) if text.contains("data: [DONE]") || text.contains("\"fp_mock\"}") => {
                seen.push(id)
            }
            Ok(_) | Err(_) => tokio::task::yield_now().await,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

/// `STANDIN_ROUNDS` asks for more of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_ones_are_killed_at_any_moment_and_old_ones_too() {
    let rounds = std::env::var("STANDIN_ROUNDS");
    let rounds: u64 = rounds.map_or(10, |rounds| rounds.parse().unwrap());
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let mut house = House::start(&yaml).await;
    let (at, count) = (Sender::new(Some(house.at)), Arc::<AtomicU64>::default());
    let mut clients = JoinSet::new();
    for client in 0..8 {
        clients.spawn(ask_on(client, at.subscribe(), Arc::clone(&count)));
    }
    // How often the one that serves has been asked.
    let mut asked = 0;
    for round in 0..rounds {
        house.signal("QUIT");
        asked += 1;
        let mut new = coming(&yaml);
        house.logged_again("is given 2 sockets", asked).await;
        let until = count.load(Ordering::Relaxed) + roll(17, round) % 60;
        soon("answers", async {
            while count.load(Ordering::Relaxed) < until {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The other one serves, unless it has just left.
        let serves = if roll(18, round).is_multiple_of(3) {
            house.signal("KILL");
            house.ended().await;
            (house, asked) = (new.serving().await, 0);
            true
        } else {
            new.signal("KILL");
            new.ended().await;
            let failed = "not done, and this process serves on";
            house.logged_or_ended(failed, asked).await
        };
        if !serves {
            (house, asked) = (House::start(&yaml).await, 0);
        }
        at.send_replace(Some(house.at));
    }
    at.send_replace(None);
    let mut seen = HashSet::new();
    while let Some(these) = soon("a client's end", clients.join_next()).await {
        seen.extend(these.unwrap());
    }
    close(house).await;
    let rows = site.books.rows();
    let ids: HashSet<&str> = rows
        .iter()
        .map(|row| row["request_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), rows.len(), "no row is there twice");
    assert!(seen.len() > 50, "{}", seen.len());
    let missing: Vec<_> = seen
        .iter()
        .filter(|id| !ids.contains(id.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!((1..=rows.len() as u64).eq(rows.iter().map(|row| row["seq"].as_u64().unwrap())));
}

/// Sends these listeners as an old process does, with one byte.
fn send(wire: &Wire, listeners: &[TcpListener]) {
    let raw: Vec<_> = listeners.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let (to, bytes) = (wire.0.as_raw_fd(), [IoSlice::new(b"+")]);
    sendmsg::<UnixAddr>(to, &bytes, &rights, MsgFlags::empty(), None).unwrap();
}

#[tokio::test]
async fn an_old_one_may_die_at_any_step_when_its_sockets_are_sent() {
    for step in 0..4 {
        let (site, gate) = (Site::new(), Gate::new());
        let mock = provider(&gate).await;
        let listener = UnixListener::bind(site.socket()).unwrap();
        let mut new = coming(&site.yaml(&mock, ""));
        let mut wire = Wire(soon("a new process", listener.accept()).await.unwrap().0);
        assert!(wire.hear().await["hello"]["process"].is_number());
        let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        let both: Vec<_> = (0..2).map(bind).collect();
        let at = both[0].local_addr().unwrap();
        let ledger = site.open_ledger();
        wire.say(json!({"sockets": [
            {"door": "listen", "configured": "127.0.0.1:0"},
            {"door": "admin", "configured": "127.0.0.1:0"},
        ]}))
        .await;
        send(&wire, &both);
        let ready = wire.hear().await["ready"].clone();
        assert_eq!(ready, json!({"kept": [0, 1], "ledger": site.place()}));
        if step == 0 {
            wire.say(json!({"failed": "not now"})).await;
            assert_eq!(new.ended().await.code(), Some(1));
            new.logged("not now").await;
            continue;
        }
        // Someone who comes while nobody accepts waits.
        let waiting = TcpStream::connect(at).await.unwrap();
        drop(both);
        if step == 1 {
            // The system lets the ledger go a little later.
            drop(wire);
            new.logged("goes on alone").await;
            drop(ledger);
        } else {
            drop(ledger);
            wire.say(json!("go")).await;
            assert_eq!(wire.hear().await, "serving");
            if step == 2 {
                drop(wire);
                new.logged("goes on alone").await;
            } else {
                // It has given up before it heard of that.
                wire.say(json!({"failed": "too late"})).await;
                assert_eq!(new.ended().await.code(), Some(1));
                new.logged("too late").await;
                continue;
            }
        }
        let new = new.serving().await;
        assert_eq!(new.at, at);
        drop(waiting);
        ask(at, "alone").await;
        close(new).await;
        site.check(&["alone".to_owned()]);
    }
}

#[tokio::test]
async fn addresses_come_and_go_with_the_new_configuration() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let listen = |all: &str| site.yaml(&mock, &format!("listen: [{all}]\n"));
    let mut old = House::start(&listen("127.0.0.1:0, 127.0.0.2:0")).await;
    let port_of = async |house: &House, ip: &str| -> SocketAddr {
        let before = format!("listening on {ip}:");
        let line = house.logged(&before).await;
        let port = line.split(&before).nth(1).unwrap();
        let digits = port.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        format!("{ip}:{digits}").parse().unwrap()
    };
    let gone = port_of(&old, "127.0.0.2").await;
    ask(gone, "one").await;
    let new = upgrade(&old, &listen("127.0.0.3:0, 127.0.0.1:0")).await;
    let (stays, comes) = (
        port_of(&new, "127.0.0.1").await,
        port_of(&new, "127.0.0.3").await,
    );
    assert_eq!(stays, port_of(&old, "127.0.0.1").await);
    assert_eq!(old.ended().await.code(), Some(0));
    assert!(TcpStream::connect(gone).await.is_err());
    ask(stays, "two").await;
    ask(comes, "three").await;
    site.check(&["one", "two", "three"].map(str::to_owned));
}

#[tokio::test]
async fn another_ledger_or_none_is_no_obstacle() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let other = Books::new();
    let elsewhere = yaml.replace(&site.books.yaml("serve"), &other.yaml("serve"));
    let none = yaml.replace(&site.books.yaml("serve"), "");
    let mut old = House::start(&yaml).await;
    let stream = begin(old.at, "old").await;
    let mut new = upgrade(&old, &elsewhere).await;
    ask(new.at, "new").await;
    gate.open();
    finish(stream).await;
    assert_eq!(old.ended().await.code(), Some(0));
    let third = upgrade(&new, &none).await;
    assert_eq!(new.ended().await.code(), Some(0));
    ask(third.at, "nowhere").await;
    site.check(&["old".to_owned()]);
    assert_eq!(other.rows().len(), 1);
}

#[tokio::test]
async fn a_signal_ends_it_at_every_stage() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    // While it waits.
    let mut old = House::start(&yaml).await;
    old.signal("QUIT");
    old.logged("waiting 10s").await;
    old.signal("TERM");
    assert_eq!(old.ended().await.code(), Some(0));
    assert!(!site.socket().exists());
    let mut new = coming(&yaml);
    new.logged("looking 10s").await;
    new.signal("TERM");
    assert_eq!(new.ended().await.code(), Some(1));
    // In the midst of it: the new one is told.
    let mut old = House::start(&yaml).await;
    old.signal("QUIT");
    let mut wire = Wire::to(&site).await;
    wire.take().await;
    old.signal("TERM");
    assert!(wire.hear().await["failed"].is_string());
    assert_eq!(old.ended().await.code(), Some(0));
    // When the new one may serve it is not held up, and goes on alone.
    let mut old = House::start(&yaml).await;
    let _stuck = begin(old.at, "left").await;
    old.signal("QUIT");
    let mut wire = Wire::to(&site).await;
    wire.take().await;
    wire.say(json!({"ready": {"kept": [0, 1], "ledger": site.place()}}))
        .await;
    assert_eq!(wire.hear().await, "go");
    old.signal("TERM");
    old.logged("draining").await;
    assert!(TcpStream::connect(old.at).await.is_err());
    assert_eq!(soon("its end", wire.0.read(&mut [0])).await.unwrap(), 0);
    let ledger = site.open_ledger();
    old.signal("INT");
    assert_eq!(old.ended().await.code(), Some(0));
    drop(ledger);
    // The new one, while it waits for the ledger: the old one is told.
    for (signal, goes) in [("TERM", false), ("INT", false), ("TERM", true)] {
        let (mut new, mut wire, _both) = readied(&site, &yaml).await;
        if goes {
            wire.say(json!("go")).await;
            assert_eq!(wire.hear().await, "serving");
        }
        new.signal(signal);
        assert!(wire.hear().await["failed"].is_string());
        assert_eq!(new.ended().await.code(), Some(1));
        new.logged("stopped before the running process had left")
            .await;
    }
    std::fs::remove_file(site.socket()).unwrap();
    // And while it leaves: what is idle goes, and a second one ends it.
    let mut old = House::start(&yaml).await;
    let _stuck = begin(old.at, "stuck").await;
    let mut idle = old.talk().await;
    assert_eq!(idle.get("/v1/models").await.status, 200);
    let new = upgrade(&old, &yaml).await;
    old.signal("TERM");
    idle.closed().await;
    old.signal("INT");
    assert_eq!(old.ended().await.code(), Some(0));
    ask(new.at, "new").await;
    close(new).await;
}

#[tokio::test]
async fn a_reload_waits_until_it_is_decided() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let old = House::start(&site.yaml(&mock, "")).await;
    old.signal("QUIT");
    let mut wire = Wire::to(&site).await;
    wire.take().await;
    old.rewrite(&site.yaml(&mock, "listen: 127.0.0.2:0\n"));
    old.signal("HUP");
    let mut admin = Talk::to(old.admin).await;
    admin.request("POST", "/-/reload", &[], b"").await;
    ask(old.at, "before").await;
    drop(wire);
    assert_eq!(admin.answer().await.status, 200);
    old.logged_again("configuration reloaded", 2).await;
    let lines = old.log();
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("not done") < at("configuration reloaded"));
}

#[tokio::test]
async fn the_service_manager_is_told_whose_the_service_is() {
    let (site, gate) = (Site::new(), Gate::new());
    let mock = provider(&gate).await;
    let yaml = site.yaml(&mock, "");
    let path = site.folder.file("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let manager = tokio::net::UnixDatagram::from_std(manager).unwrap();
    let told = async || {
        let mut bytes = [0; 512];
        let size = soon("a message", manager.recv(&mut bytes)).await.unwrap();
        String::from_utf8(bytes[..size].to_vec()).unwrap()
    };
    let mut old = House::start_with(&yaml, |command| {
        command.env("NOTIFY_SOCKET", &path);
    })
    .await;
    assert_eq!(told().await, "READY=1\nSTATUS=serving\n");
    old.signal("QUIT");
    drop(Wire::to(&site).await);
    let mut wire = Wire::to(&site).await;
    wire.take().await;
    drop(wire);
    let main = |house: &House, status: &str| {
        let process = house.pid();
        format!("MAINPID={process}\nREADY=1\nSTATUS={status}\n")
    };
    let failed = "serving; the upgrade was not done";
    assert_eq!(told().await, main(&old, failed));
    old.signal("QUIT");
    let folder = Folder::new();
    let config = folder.write("standin.yaml", &whole(&yaml));
    let new = House::spawn(folder, &config, |command| {
        command.arg("--upgrade").env("NOTIFY_SOCKET", &path);
    });
    assert_eq!(told().await, main(&new, "serving"));
    assert_eq!(told().await, "READY=1\nSTATUS=serving\n");
    let new = new.serving().await;
    assert_eq!(old.ended().await.code(), Some(0));
    // The one that leaves says nothing that would be taken for the service's end.
    close(new).await;
    assert!(told().await.starts_with("STOPPING=1\n"));
    assert!(manager.try_recv(&mut [0; 512]).is_err());
}
