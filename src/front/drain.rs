//! Knows how many requests are in flight, and whether new ones are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// Shared by all doors of a process.
#[derive(Debug)]
pub struct Drain {
    draining: watch::Sender<bool>,
    in_flight: AtomicUsize,
    /// Connections: the last bytes of an answer may still wait in one when
    /// its request is no longer in flight.
    open: AtomicUsize,
    /// Told when the last request in flight has ended, and when the last
    /// connection has.
    empty: Notify,
}

impl Drain {
    /// Takes requests.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            draining: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            empty: Notify::new(),
        })
    }

    /// From now on new requests are refused.
    pub fn begin(&self) {
        self.draining.send_replace(true);
    }

    /// Whether new requests are refused.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Turns true when draining begins.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Counts a request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a connection until the guard is dropped.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Waits until no request is in flight.
    pub async fn empty(&self) {
        self.none(&self.in_flight).await;
    }

    /// Waits until no connection is open.
    pub async fn closed(&self) {
        self.none(&self.open).await;
    }

    async fn none(&self, count: &AtomicUsize) {
        loop {
            let told = self.empty.notified();
            if count.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open(Arc<Drain>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<Drain>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_empty_when_the_last_has_left() {
        let drain = Drain::new();
        let (one, two) = (drain.enter(), drain.enter());
        drain.begin();
        assert!(drain.is_draining());
        let mut empty = std::pin::pin!(drain.empty());
        tokio::select! {
            biased;
            () = &mut empty => panic!("two are in flight"),
            () = std::future::ready(()) => {}
        }
        drop((one, two));
        empty.await;
        assert_eq!(drain.in_flight(), 0);
    }
}
