//! The row of an answer is there before its client can see its end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::journey::Inn;
use super::play::{DONE, Play, finish, says};
use crate::base::Endpoint;
use crate::config::{self, OnError};
use crate::journey::{Ask, Means, run};
use crate::ledger::{Ledger, Reader};
use crate::seam::{Broken, Client, Committed, Gone, Head};
use crate::wire::Lines;

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-billing-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn open(&self) -> Ledger {
        let config = config::Ledger {
            path: self.0.join("usage.db"),
            on_error: OnError::Serve,
            retention: None,
        };
        Ledger::open(&config, || SystemTime::UNIX_EPOCH).unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        let reader = Reader::open(&self.0.join("usage.db")).unwrap();
        let rows = reader.after(0, usize::MAX).unwrap().rows;
        let rows = rows.iter().map(|row| serde_json::from_str(row).unwrap());
        rows.collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a client was given, and how many rows there were by then.
type Given = Arc<Mutex<Vec<(Bytes, u64)>>>;

/// A client that looks into the ledger whenever it is given something.
struct Watcher {
    ledger: Arc<Ledger>,
    given: Given,
    /// It leaves when its answer would begin.
    leaves: bool,
}

impl Watcher {
    fn note(&self, bytes: Bytes) {
        let rows = self.ledger.state().appended;
        self.given.lock().unwrap().push((bytes, rows));
    }
}

impl Client for Watcher {
    type Committed = Self;

    async fn gone(&mut self) -> Gone {
        std::future::pending().await
    }

    async fn commit(self, _: Head<Lines>) -> Result<Self, Gone> {
        if self.leaves {
            Err(Gone::Left)
        } else {
            Ok(self)
        }
    }

    async fn reply(self, _: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        self.note(body.concat().into());
        Ok(())
    }
}

impl Committed for Watcher {
    async fn gone(&mut self) -> Gone {
        std::future::pending().await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.note(bytes);
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        self.note(Bytes::new());
        Ok(())
    }

    async fn break_off(self) {
        self.note(Bytes::new());
    }
}

/// Makes one request: the pieces of its answer with the rows at that time,
/// and the row.
async fn watched(endpoint: Endpoint, stream: bool, play: Play) -> (Vec<(Bytes, u64)>, Value) {
    watched_by(endpoint, stream, play, false).await
}

async fn watched_by(
    endpoint: Endpoint,
    stream: bool,
    play: Play,
    leaves: bool,
) -> (Vec<(Bytes, u64)>, Value) {
    let place = Place::new();
    let given = asked(&place, endpoint, stream, play, leaves).await;
    let mut rows = place.rows();
    assert_eq!(rows.len(), 1);
    (given, rows.remove(0))
}

/// Makes one request whose rows are written to that place.
async fn asked(
    place: &Place,
    endpoint: Endpoint,
    stream: bool,
    play: Play,
    leaves: bool,
) -> Vec<(Bytes, u64)> {
    let (ledger, given) = (Arc::new(place.open()), Given::default());
    let inn = Inn::new("", &[("a/x", &[play])]);
    let body = json!({"model": "a/x", "stream": stream}).to_string();
    let id = HeaderValue::from_static("id-1");
    let ask = Ask::read(endpoint, id, &HeaderMap::new(), body.into(), &inn.config).unwrap();
    let means = Means {
        config: &inn.config,
        board: &inn.board,
        out: &inn.world,
        ledger: Some(&ledger),
        dice: 0,
    };
    let client = Watcher {
        ledger: Arc::clone(&ledger),
        given: Arc::clone(&given),
        leaves,
    };
    assert!(run(&ask, &means, None, client).await.is_ok());
    given.lock().unwrap().clone()
}

/// Whether the row was there when this came.
fn there_at(given: &[(Bytes, u64)], end: &str) -> bool {
    let holds = |bytes: &Bytes| memchr::memmem::find(bytes, end.as_bytes()).is_some();
    let piece = given.iter().find(|(bytes, _)| holds(bytes));
    piece.expect("it came").1 == 1
}

const DELTA: &str = r#"{"type":"response.output_text.delta","sequence_number":1,"delta":"Hel"}"#;

fn terminal(kind: &str) -> String {
    let response = r#"{"model":"up","usage":{"input_tokens":9,"output_tokens":2}}"#;
    format!(r#"{{"type":"{kind}","sequence_number":2,"response":{response}}}"#)
}

#[tokio::test(start_paused = true)]
async fn the_row_is_there_before_the_end_is_seen() {
    let stop = finish("stop");
    let chat = Play::sse().event(&says("Hel")).event(&stop);
    let spoken = Play::sse().event(DELTA);
    let long = format!(
        r#"{{"model":"up","x":"{}","choices":[]}}"#,
        "x".repeat(2 << 20)
    );
    for (endpoint, stream, play, end) in [
        (Endpoint::Chat, false, Play::hello(), "Hello"),
        (Endpoint::Chat, true, chat.clone().event(DONE), DONE),
        (
            Endpoint::Chat,
            false,
            Play::json(200, long).in_pieces(9000),
            "\"choices\":[]}",
        ),
        (
            Endpoint::Responses,
            true,
            spoken.clone().event(&terminal("response.completed")),
            "response.completed",
        ),
        (
            Endpoint::Responses,
            true,
            spoken
                .clone()
                .event(&terminal("response.incomplete"))
                .hang(),
            "response.incomplete",
        ),
    ] {
        let (given, row) = watched(endpoint, stream, play).await;
        assert!(there_at(&given, end), "{end}");
        assert_eq!(row["ended"], "answered");
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_where_the_answer_breaks_off() {
    let hel = Play::sse().event(&says("Hel"));
    let spoken = Play::sse().event(DELTA);
    let error = r#"{"error":{"message":"boom","code":"server_error"}}"#;
    for (endpoint, play, end, input) in [
        (Endpoint::Chat, hel.clone(), "upstream_cut", None),
        (
            Endpoint::Chat,
            hel.clone().broken(Broken::Reset),
            "upstream_cut",
            None,
        ),
        (Endpoint::Chat, hel.clone().hang(), "upstream_cut", None),
        (Endpoint::Chat, hel.event(error), "boom", None),
        (Endpoint::Responses, spoken.clone(), "upstream_cut", None),
        (
            Endpoint::Responses,
            spoken.event(&terminal("response.failed")),
            "response.failed",
            Some(9),
        ),
    ] {
        let (given, row) = watched(endpoint, true, play).await;
        assert!(there_at(&given, end), "{endpoint:?} {end}");
        assert_eq!(row["ended"], "cut");
        assert_eq!(row["estimated"], input.is_none());
        if let Some(input) = input {
            assert_eq!(row["input_tokens"], input);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_where_a_long_answer_breaks_off() {
    let long = format!(r#"{{"model":"up","x":"{}"#, "x".repeat(2 << 20));
    let play = Play::json(200, long).in_pieces(9000).broken(Broken::Reset);
    let (given, row) = watched(Endpoint::Chat, false, play).await;
    assert_eq!(given.last(), Some(&(Bytes::new(), 1)));
    assert_eq!(row["ended"], "cut");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_at_commit_is_charged_with_what_has_come() {
    let play = Play::sse().event(&says("Hello you")).hang();
    let (given, row) = watched_by(Endpoint::Chat, true, play, true).await;
    assert_eq!(given, []);
    assert_eq!(row["ended"], "client_gone");
    assert_eq!(
        (&row["output_tokens"], &row["estimated"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(row["reported_model"], "up");
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_leaves_a_long_answer() {
    let long = format!(r#"{{"model":"up","x":"{}"}}"#, "x".repeat(2 << 20));
    let play = Play::json(200, long).in_pieces(9000);
    let (given, row) = watched_by(Endpoint::Chat, false, play, true).await;
    assert_eq!(given, []);
    assert_eq!(row["ended"], "client_gone");
    assert!(row["output_tokens"].as_u64().unwrap() >= (1 << 20) / 4);
}

#[tokio::test(start_paused = true)]
async fn what_a_bad_answer_says_it_used_is_kept_with_it() {
    let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":2}"#;
    let used = format!(r#"{{"model":"up","choices":[],{usage}}}"#);
    for (stream, play) in [
        (false, Play::json(200, used.clone())),
        (
            false,
            Play::json(200, format!(r#"{{"error":{{"message":"x"}},{usage}}}"#)),
        ),
        (true, Play::sse().event(&used).event(DONE)),
        (true, Play::sse().event(&used).broken(Broken::Reset)),
    ] {
        let place = Place::new();
        asked(&place, Endpoint::Chat, stream, play, false).await;
        assert_eq!(place.rows().len(), 0);
        let reader = Reader::open(&place.0.join("usage.db")).unwrap();
        let all = reader.discarded(SystemTime::UNIX_EPOCH).unwrap();
        let tokens = all[0].tokens.expect("it told");
        assert_eq!((all.len(), tokens.input, tokens.output), (1, 9, 2));
    }
}
