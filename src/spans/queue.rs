//! The queue between requests that end and whoever sends their spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::batch::{Batch, Clock};
use crate::base::ModelName;
use crate::config::Otlp;
use crate::journey::{Ask, Receipt, Span};

/// Requests that may wait. While the collector is away for a moment none is
/// lost at a hundred requests a second; more would hold memory for nothing.
const MOST: usize = 2048;

/// So many waiting requests are sent before their time: with a failure each
/// they fill a batch.
const ENOUGH: usize = 170;

/// A request that has ended, as it waits for its spans to be written.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) span: Span,
    pub(super) request_id: HeaderValue,
    /// The first of its list.
    pub(super) model: ModelName,
    /// Whether a stream was asked for.
    pub(super) stream: bool,
    pub(super) receipt: Receipt,
}

/// Where requests tell of their spans.
#[derive(Debug)]
pub struct Spans {
    queue: Sender<Told>,
    shared: Arc<Shared>,
    /// Until somebody takes it.
    outlet: Mutex<Option<Outlet>>,
}

#[derive(Debug)]
struct Shared {
    settings: Otlp,
    /// A batch is waiting.
    ready: Notify,
    /// Requests let go since that was last asked.
    dropped: AtomicU64,
}

/// The queue's other end.
#[derive(Debug)]
pub struct Outlet {
    queue: Receiver<Told>,
    /// Did not fit any more.
    next: Option<Told>,
    shared: Arc<Shared>,
}

/// How far a batch has been filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// With all that was there.
    Empty,
    /// To its bound; more is there.
    Full,
    /// With all that was there, and nothing will ever come again.
    Over,
}

impl Spans {
    /// What these settings ask for: `before`, where it does the same already.
    pub fn of(settings: Option<&Otlp>, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let settings = settings?;
        let same = before.filter(|before| before.shared.settings == *settings);
        Some(same.map_or_else(|| Arc::new(Self::new(settings.clone())), Arc::clone))
    }

    fn new(settings: Otlp) -> Self {
        let (queue, from) = channel(MOST);
        let shared = Arc::new(Shared {
            settings,
            ready: Notify::new(),
            dropped: AtomicU64::new(0),
        });
        let outlet = Outlet {
            queue: from,
            next: None,
            shared: Arc::clone(&shared),
        };
        Self {
            queue,
            shared,
            outlet: Mutex::new(Some(outlet)),
        }
    }

    /// The queue's other end, for the first who asks. It ends when these
    /// `Spans` are dropped.
    pub fn outlet(&self) -> Option<Outlet> {
        self.outlet.lock().take()
    }

    /// Begins a request's span; `dice` gives random bits. From here on its
    /// attempts say their own.
    pub fn begin(&self, ask: &mut Ask, dice: impl FnMut() -> u64) {
        let span = Span::begin(ask.trace, dice, self.shared.settings.sample_ratio);
        span.clear(&mut ask.headers);
        ask.trace = Some(span.own());
        ask.span = Some(span);
    }

    /// Ends it.
    pub fn end(&self, ask: &Ask, receipt: Receipt) {
        let span = ask.span.filter(|span| span.is_sampled);
        let (Some(span), Some(first)) = (span, ask.candidates.first()) else {
            return;
        };
        let told = Told {
            span,
            request_id: ask.id.clone(),
            model: first.name.clone(),
            stream: ask.stream,
            receipt,
        };
        if self.queue.try_send(told).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // The other end sleeps meanwhile: to be woken costs more than all this.
        if MOST - self.queue.capacity() >= ENOUGH {
            self.shared.ready.notify_one();
        }
    }
}

impl Outlet {
    /// Where they are sent, and how.
    pub fn settings(&self) -> &Otlp {
        &self.shared.settings
    }

    /// Waits until enough for a batch is there.
    pub async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    /// Writes what waits into a batch, as far as it has room. `clock` is of
    /// this moment.
    pub fn fill(&mut self, batch: &mut Batch, clock: &Clock) -> Filled {
        loop {
            let told = match self.next.take() {
                Some(told) => Ok(told),
                None => self.queue.try_recv(),
            };
            match told {
                Ok(told) if batch.has_room(&told) => batch.add(&told, clock),
                Ok(told) => {
                    self.next = Some(told);
                    return Filled::Full;
                }
                Err(TryRecvError::Empty) => return Filled::Empty,
                Err(TryRecvError::Disconnected) => return Filled::Over,
            }
        }
    }

    /// How many requests were let go since this was last asked, because the
    /// queue was full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.swap(0, Ordering::Relaxed)
    }
}
