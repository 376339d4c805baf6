//! One journey: configuration, request, what came of it.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::fakes::{Ended, Given, Guest, Tried, World};
use super::play::Play;
use crate::base::Endpoint;
use crate::config::{self, Config, Nothing};
use crate::health::Board;
use crate::journey::{Ask, Means, Receipt, run};

/// Providers `a`, `b`, `c`, and more.
pub(super) fn config(more: &str) -> Config {
    let mut yaml = "providers:\n".to_owned();
    for name in ["a", "b", "c"] {
        yaml += &format!("  {name}: {{ base_url: \"http://{name}.test/v1\" }}\n");
    }
    match config::load("t.yaml", (yaml + more).as_bytes(), &Nothing) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

/// A request on its way to be made.
pub(super) struct Trip {
    more: String,
    endpoint: Endpoint,
    headers: HeaderMap,
    body: Value,
    leaves: Option<Duration>,
    cut_off: Option<Duration>,
    pace: Duration,
    dice: u64,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Came {
    pub given: Given,
    pub tried: Vec<Tried>,
    pub receipt: Receipt,
    /// From beginning to end.
    pub took: Duration,
    /// Failures that live state counts by then, of all made-up targets.
    pub counted: u32,
}

impl Trip {
    /// A plain chat request for these models.
    pub(super) fn plain(models: &[&str]) -> Self {
        let body = json!({"models": models, "messages": []});
        Self {
            more: String::new(),
            endpoint: Endpoint::Chat,
            headers: HeaderMap::new(),
            body,
            leaves: None,
            cut_off: None,
            pace: Duration::ZERO,
            dice: 0,
        }
    }

    /// The same, streamed.
    pub(super) fn stream(models: &[&str]) -> Self {
        Self::plain(models).with("stream", json!(true))
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.body[name] = value;
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    pub(super) fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// With this header of the client's.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// More in the configuration.
    pub(super) fn config(mut self, more: &str) -> Self {
        self.more = more.to_owned();
        self
    }

    pub(super) fn leaves(mut self, after: Duration) -> Self {
        self.leaves = Some(after);
        self
    }

    /// The process ends so long after the request has come.
    pub(super) fn cut_off(mut self, after: Duration) -> Self {
        self.cut_off = Some(after);
        self
    }

    pub(super) fn slowly(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    pub(super) fn dice(mut self, dice: u64) -> Self {
        self.dice = dice;
        self
    }

    /// Makes it, with nothing remembered. Each target,
    /// `provider/upstream_model`, plays its plays in turn.
    pub(super) async fn run(self, plays: &[(&str, &[Play])]) -> Came {
        Inn::new(&self.more, plays).host(self).await
    }
}

/// Where requests come one after another, or many at a time, and what they
/// bring about is remembered.
pub(super) struct Inn {
    pub config: Config,
    pub board: Board,
    pub world: World,
}

impl Inn {
    pub(super) fn new(more: &str, plays: &[(&str, &[Play])]) -> Self {
        let config = config(more);
        let now = tokio::time::Instant::now().into_std();
        Self {
            board: Board::new(&config, None, now),
            world: World::new(plays),
            config,
        }
    }

    /// Another configuration; what is known is kept.
    pub(super) fn reload(&mut self, more: &str) {
        let config = config(more);
        let now = tokio::time::Instant::now().into_std();
        self.board = Board::new(&config, Some(&self.board), now);
        self.config = config;
    }

    /// Makes a request under this configuration; the trip's own counts for
    /// nothing.
    pub(super) async fn host(&self, trip: Trip) -> Came {
        let before = self.world.count();
        let (guest, given) = Guest::new(trip.leaves, trip.pace);
        let guest = guest.cut_off(trip.cut_off);
        let started = tokio::time::Instant::now();
        let mut ask = Ask::read(
            trip.endpoint,
            HeaderValue::from_static("id-1"),
            &trip.headers,
            trip.body.to_string().into(),
            &self.config,
        )
        .unwrap();
        ask.drill(&trip.headers, &self.config, None).unwrap();
        let means = Means {
            config: &self.config,
            board: &self.board,
            out: &self.world,
            ledger: None,
            dice: trip.dice,
        };
        let receipt = match run(&ask, &means, None, guest).await {
            Ok(receipt) => receipt,
            Err((_, refusal)) => panic!("refused: {refusal:?}"),
        };
        let given = given.lock().unwrap().clone();
        let mut counted = 0;
        self.board.made_up(means.now(), |_, _, status| {
            counted += u32::from(status.consecutive_failures);
        });
        Came {
            given,
            tried: self.world.tried_since(before),
            receipt,
            took: started.elapsed(),
            counted,
        }
    }

    /// Makes many at once, and waits for all.
    pub(super) async fn host_all(&self, trips: impl IntoIterator<Item = Trip>) -> Vec<Came> {
        let mut under_way: Vec<_> = trips
            .into_iter()
            .map(|trip| (Box::pin(self.host(trip)), None))
            .collect();
        std::future::poll_fn(|context| {
            for (trip, came) in &mut under_way {
                if came.is_none()
                    && let Poll::Ready(done) = trip.as_mut().poll(context)
                {
                    *came = Some(done);
                }
            }
            if under_way.iter().all(|(_, came)| came.is_some()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        under_way.into_iter().filter_map(|(_, came)| came).collect()
    }

    /// So many attempts has this target seen.
    pub(super) fn asked(&self, target: &str) -> usize {
        self.world.asked(target)
    }
}

impl Came {
    pub(super) fn status(&self) -> u16 {
        self.given.head.as_ref().expect("an answer").status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let head = self.given.head.as_ref().expect("an answer");
        head.headers.get(name)?.to_str().ok()
    }

    pub(super) fn walk(&self) -> &str {
        self.header("x-standin-attempts").unwrap_or("")
    }

    pub(super) fn text(&self) -> String {
        let writes: Vec<_> = self
            .given
            .writes
            .iter()
            .map(|(_, piece)| &**piece)
            .collect();
        String::from_utf8(writes.concat()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The `data` of each event.
    pub(super) fn events(&self) -> Vec<String> {
        self.text()
            .split_terminator("\n\n")
            .filter_map(|event| Some(event.split_once("data: ")?.1.to_owned()))
            .collect()
    }

    pub(super) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }

    pub(super) fn targets(&self) -> Vec<&str> {
        self.tried.iter().map(|tried| &*tried.target).collect()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.given.ended == Ended::Cleanly
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
