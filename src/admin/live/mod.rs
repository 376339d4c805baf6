//! `GET /-/live`: what the page shows, as server-sent events
//! (html.spec.whatwg.org/multipage/server-sent-events.html). All viewers are
//! told the same frames, which are made once and only while somebody looks.

mod frame;
mod row;
mod step;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::frame::Teller;
use crate::front::{self, Drain, Guest, Kept, Session};
use crate::house::Current;
use crate::seam::{Client, Committed, Head};
use crate::wire::Lines;

/// Pages that may look at the same time.
const VIEWERS: usize = 32;

/// How often what has changed is told.
const TICK: Duration = Duration::from_millis(500);

/// Frames that a slow reader may be behind before it is dropped: it gets all
/// of it when it comes again.
const BEHIND: usize = 8;

/// How long a reader may take no more bytes.
const WRITE: Duration = Duration::from_secs(5);

/// The last event before the stream ends at a drain.
const BYE: Bytes = Bytes::from_static(b"event: bye\ndata: {}\n\n");

/// What everybody who looks is told.
pub(super) struct Live {
    house: Current,
    /// The proxy port's.
    drain: Arc<Drain>,
    seats: Semaphore,
    told: Mutex<Told>,
    tell: broadcast::Sender<Bytes>,
}

fn too_slow() -> Kept {
    log::debug!("a page is dropped: it reads too slowly");
    Kept::Close
}

#[derive(Default)]
struct Told {
    /// Whether somebody makes the next frames.
    runs: bool,
    teller: Teller,
}

impl Live {
    pub(super) fn new(house: Current, drain: Arc<Drain>) -> Arc<Self> {
        Arc::new(Self {
            house,
            drain,
            seats: Semaphore::new(VIEWERS),
            told: Mutex::default(),
            tell: broadcast::Sender::new(BEHIND),
        })
    }

    /// A place for one more, if there is one.
    pub(super) fn seat(&self) -> Option<SemaphorePermit<'_>> {
        self.seats.try_acquire().ok()
    }

    /// Tells one viewer everything and then what changes, until it leaves or
    /// reads too slowly, requests are no longer taken, or it `may` no longer
    /// look.
    pub(super) async fn show(
        self: &Arc<Self>,
        session: &mut Session<'_>,
        headers: Lines,
        may: impl Fn() -> bool,
    ) -> Kept {
        let mut draining = self.drain.watch();
        // A thousand targets take milliseconds to write.
        let live = Arc::clone(self);
        let Ok((first, mut frames)) = tokio::task::spawn_blocking(move || live.join()).await else {
            return Kept::Close;
        };
        let mut kept = Kept::Close;
        let status = StatusCode::OK;
        let committed = Guest::new(session, &mut kept).commit(Head { status, headers });
        let Ok(mut viewer) = committed.await else {
            return Kept::Close;
        };
        let mut next = first;
        loop {
            match timeout(WRITE, viewer.write(next)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Kept::Close,
                Err(_) => return too_slow(),
            }
            next = tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => break,
                frame = frames.recv() => match frame {
                    Ok(frame) if may() => frame,
                    Ok(_) => break,
                    Err(_) => return too_slow(),
                },
                _ = viewer.gone() => return Kept::Close,
            };
        }
        let last = async {
            viewer.write(BYE).await?;
            viewer.end().await
        };
        // Out of time or not, nothing follows.
        let _ = timeout(WRITE, last).await;
        kept
    }

    /// Everything there is to tell, and the frames that follow on it.
    fn join(self: Arc<Self>) -> (Bytes, broadcast::Receiver<Bytes>) {
        let mut told = self.told.lock();
        if !told.runs {
            told.runs = true;
            self.next(&mut told.teller);
            front::spawn(Arc::clone(&self).run());
        }
        let now = self.house.load().board.moment(Instant::now().into_std());
        (told.teller.all(now), self.tell.subscribe())
    }

    /// Makes frames for as long as somebody looks.
    async fn run(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let live = Arc::clone(&self);
            let goes_on = tokio::task::spawn_blocking(move || live.tick()).await;
            if !matches!(goes_on, Ok(true)) {
                return;
            }
        }
    }

    /// Tells what has changed; whether somebody still looks.
    fn tick(&self) -> bool {
        let mut told = self.told.lock();
        if self.tell.receiver_count() == 0 {
            *told = Told::default();
            return false;
        }
        if let Some(frame) = self.next(&mut told.teller) {
            // Who has left meanwhile is not missed.
            let _ = self.tell.send(frame);
        }
        true
    }

    fn next(&self, teller: &mut Teller) -> Option<Bytes> {
        let house = self.house.load();
        let now = house.board.moment(Instant::now().into_std());
        teller.next(&house, self.drain.in_flight(), now)
    }
}
