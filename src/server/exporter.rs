//! Sends spans to their collector, beside all requests.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::wall_clock;
use crate::front;
use crate::house::House;
use crate::spans::{Batch, Clock, Filled, Outlet, Pauses, Verdict, verdict};
use crate::upstream::Post;

/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";

/// How long a span waits at most for others to go with it.
const EVERY: Duration = Duration::from_secs(1);

/// How long the last spans may take when the process ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Trouble is told once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The tasks that send spans: none while no configuration asks for it, and one
/// more for a while after a reload that has changed where they go.
pub(super) struct Exports {
    stop: watch::Sender<bool>,
    alive: mpsc::Sender<()>,
    all: mpsc::Receiver<()>,
}

impl Exports {
    pub(super) fn new() -> Self {
        let (alive, all) = mpsc::channel(1);
        let stop = watch::Sender::new(false);
        Self { stop, alive, all }
    }

    /// Sends what requests of this house tell, unless that is being done.
    pub(super) fn follow(&self, house: &House) {
        let Some(outlet) = house.spans.as_ref().and_then(|spans| spans.outlet()) else {
            return;
        };
        let export = Export {
            post: Post::new(),
            stop: self.stop.subscribe(),
            trouble: Trouble::default(),
        };
        let alive = self.alive.clone();
        front::spawn(async move {
            export.run(outlet).await;
            drop(alive);
        });
    }

    /// Sends what is left, as far as that goes quickly.
    pub(super) async fn close(self) {
        let Self {
            stop,
            alive,
            mut all,
        } = self;
        stop.send_replace(true);
        drop(alive);
        // Nobody sends anything: it ends with the last task.
        let _ = timeout(GOODBYE, all.recv()).await;
    }
}

struct Export {
    post: Post,
    stop: watch::Receiver<bool>,
    trouble: Trouble,
}

impl Export {
    /// Until the process ends, or nothing can come any more.
    async fn run(mut self, mut outlet: Outlet) {
        let mut batch = Batch::new(outlet.settings());
        loop {
            let stops = tokio::select! {
                _ = timeout(EVERY, outlet.ready()) => false,
                () = stopped(&mut self.stop) => true,
            };
            loop {
                let clock = Clock {
                    now: Instant::now(),
                    wall: wall_clock(),
                };
                let filled = outlet.fill(&mut batch, &clock);
                if batch.spans() > 0 {
                    let spans = batch.spans() as u64;
                    self.deliver(&outlet, batch.take(), spans).await;
                }
                self.trouble.dropped += outlet.dropped();
                self.trouble.tell(&outlet, stops);
                match filled {
                    Filled::Empty => break,
                    Filled::Full => {}
                    Filled::Over => return,
                }
            }
            if stops {
                return;
            }
        }
    }

    /// Sends one batch, again where that may help.
    async fn deliver(&mut self, outlet: &Outlet, body: Bytes, spans: u64) {
        let mut pauses = Pauses::default();
        loop {
            let settings = outlet.settings();
            let (url, headers) = (&settings.endpoint, &settings.headers);
            let sent = self.post.post(url, PATH, headers, body.clone());
            let (verdict, why) = match timeout(settings.timeout, sent).await {
                Err(_) => (Verdict::Again(None), "no answer in time".to_owned()),
                Ok(Err(broken)) => {
                    let verdict = verdict(Err(broken), wall_clock());
                    (verdict, "no connection".to_owned())
                }
                Ok(Ok((head, answer))) => {
                    let verdict = verdict(Ok((&head, &answer)), wall_clock());
                    (verdict, format!("it says {}", head.status.as_u16()))
                }
            };
            let asked = match verdict {
                Verdict::Taken(0) => return,
                Verdict::Taken(rejected) => {
                    let why = "it takes a part of them only";
                    return self.trouble.lost(rejected.min(spans), why);
                }
                Verdict::Lost => return self.trouble.lost(spans, &why),
                Verdict::Again(asked) => asked,
            };
            let is_last = *self.stop.borrow();
            let pause = pauses.next(asked, RandomState::new().hash_one(spans));
            let Some(pause) = pause.filter(|_| !is_last) else {
                return self.trouble.lost(spans, &why);
            };
            log::debug!("otlp: {why}, {spans} spans wait for {pause:?}");
            tokio::select! {
                () = sleep(pause) => {}
                // Once more at once, and that is the last.
                () = stopped(&mut self.stop) => {}
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone has stopped.
    let _ = stop.wait_for(|stops| *stops).await;
}

/// What has not been told yet.
#[derive(Default)]
struct Trouble {
    /// Requests that found the queue full.
    dropped: u64,
    /// Spans that the collector did not take.
    lost: u64,
    why: String,
    told: Option<Instant>,
}

impl Trouble {
    fn lost(&mut self, spans: u64, why: &str) {
        self.lost += spans;
        why.clone_into(&mut self.why);
    }

    /// Says it, unless that was done just now.
    fn tell(&mut self, outlet: &Outlet, stops: bool) {
        if self.dropped + self.lost == 0 {
            return;
        }
        if !stops && self.told.is_some_and(|told| told.elapsed() < TELL_AGAIN) {
            return;
        }
        let at = outlet.settings().endpoint.authority();
        if self.lost > 0 {
            let (lost, why) = (self.lost, &self.why);
            log::warn!("otlp: {at} did not take {lost} spans: {why}");
        }
        if self.dropped > 0 {
            let dropped = self.dropped;
            log::warn!("otlp: {dropped} requests have no spans: the queue to {at} was full");
        }
        *self = Self {
            told: Some(Instant::now()),
            ..Self::default()
        };
    }
}
