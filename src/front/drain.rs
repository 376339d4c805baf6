//! Knows how many requests are in flight, and how far the process, or one of
//! its listeners, is on its way out.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::unconstrained;

use super::crowd::Room;

/// Requests are taken, and others may follow on their connections.
const OPEN: u8 = 0;

/// Requests are taken, and each is the last one of its connection.
const LEAVING: u8 = 1;

/// Requests are refused.
const CLOSED: u8 = 2;

/// Those in flight are cut off, too.
const CUT_OFF: u8 = 3;

/// How far a listener is on its way out. Those of one process count together
/// and leave together; each can also leave alone.
#[derive(Debug)]
pub struct Drain {
    /// One of the four above; only grows.
    stage: AtomicU8,
    /// Whether connections that are idle go at once.
    idle: watch::Sender<bool>,
    /// Whether connections of HTTP/2 say that no more streams are welcome.
    goodbye: watch::Sender<bool>,
    shared: Arc<Shared>,
}

/// What all listeners of a process have in common.
#[derive(Debug, Default)]
struct Shared {
    in_flight: AtomicUsize,
    /// Connections: the last bytes of an answer may still wait in one when
    /// its request is no longer in flight.
    open: AtomicUsize,
    /// Told when the last request in flight has ended, and when the last
    /// connection has.
    empty: Notify,
    /// Wakes requests in flight when they are cut off.
    cut_off: watch::Sender<()>,
    /// What they let in, all together.
    room: Room,
    /// Those who leave with the process.
    doors: Mutex<Vec<Weak<Drain>>>,
}

impl Drain {
    /// Takes requests.
    pub fn new() -> Arc<Self> {
        Self::of(Arc::default(), OPEN)
    }

    fn of(shared: Arc<Shared>, stage: u8) -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(stage),
            idle: watch::Sender::new(stage >= CLOSED),
            goodbye: watch::Sender::new(stage >= CLOSED),
            shared,
        })
    }

    /// One listener's own: it is counted here and leaves with this one, but
    /// may also leave before it.
    pub fn door(&self) -> Arc<Self> {
        let mut doors = self.shared.doors.lock();
        doors.retain(|door| door.strong_count() > 0);
        let door = Self::of(Arc::clone(&self.shared), self.stage.load(Ordering::Relaxed));
        doors.push(Arc::downgrade(&door));
        door
    }

    /// From now on each answer is said to be its connection's last one. To be
    /// called on the process's own.
    pub fn lead(&self) {
        self.each(|drain| drain.go(LEAVING));
    }

    /// From now on new requests are refused. To be called on the process's
    /// own.
    pub fn begin(&self) {
        self.close(CLOSED);
    }

    /// The same, and requests in flight are to end now. To be called on the
    /// process's own.
    pub fn cut_off(&self) {
        self.close(CUT_OFF);
        self.shared.cut_off.send_replace(());
    }

    fn close(&self, stage: u8) {
        self.each(|drain| {
            drain.go(stage);
            drain.idle.send_replace(true);
            drain.goodbye.send_replace(true);
        });
    }

    /// Lets the connections of one listener go: what they ask is still
    /// answered, and then they end.
    pub fn retire(&self) {
        self.go(LEAVING);
        self.goodbye.send_replace(true);
    }

    fn go(&self, stage: u8) {
        self.stage.fetch_max(stage, Ordering::Relaxed);
    }

    fn each(&self, leave: impl Fn(&Self)) {
        let doors = self.shared.doors.lock();
        leave(self);
        for door in doors.iter().filter_map(Weak::upgrade) {
            leave(&door);
        }
    }

    /// Whether no other request is to follow on a connection.
    pub fn is_draining(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= LEAVING
    }

    /// Whether new requests are refused.
    pub fn refuses(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= CLOSED
    }

    /// Whether requests in flight are to end now.
    pub fn is_cut_off(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= CUT_OFF
    }

    /// Ends when requests in flight are cut off, where that comes after this
    /// was first polled. A task that has polled it once and keeps it is woken
    /// then, whatever it waits for, and looks at [`Self::is_cut_off`]: so
    /// nothing but that look stands in the way of a request.
    pub async fn until_cut_off(&self) {
        let mut cut_off = self.shared.cut_off.subscribe();
        // It is polled once: with a spent budget it would not be heard.
        let _ = unconstrained(cut_off.changed()).await;
    }

    /// Waits for something, but not once requests are cut off; nothing then.
    /// The task must keep [`Self::until_cut_off`].
    pub(super) async fn unless_cut_off<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.is_cut_off() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Turns true when new requests are refused.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.idle.subscribe()
    }

    /// Changes when connections that carry several requests at a time say that
    /// these are the last; at once for one that comes after that.
    pub fn goodbye(&self) -> watch::Receiver<bool> {
        let mut goodbye = self.goodbye.subscribe();
        if *goodbye.borrow() {
            goodbye.mark_changed();
        }
        goodbye
    }

    /// Counts a request until the guard is dropped.
    pub fn enter(&self) -> InFlight {
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.shared))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a connection until the guard is dropped.
    pub fn open(&self) -> Open {
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.shared))
    }

    /// What all listeners of the process let in at once.
    pub(super) fn room(&self) -> &Room {
        &self.shared.room
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Waits until no request is in flight.
    pub async fn empty(&self) {
        self.shared.none(&self.shared.in_flight).await;
    }

    /// Waits until no connection is open.
    pub async fn closed(&self) {
        self.shared.none(&self.shared.open).await;
    }
}

impl Shared {
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
pub struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<Shared>);

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
        let (one, two) = (drain.enter(), drain.door().enter());
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

    /// Whether answers are the last, requests are refused, idle connections go
    /// and HTTP/2 says goodbye.
    fn told(drain: &Drain) -> [bool; 4] {
        let (idle, goodbye) = (*drain.watch().borrow(), drain.goodbye().has_changed());
        let goodbye = goodbye.unwrap();
        [drain.is_draining(), drain.refuses(), idle, goodbye]
    }

    #[test]
    fn all_leave_with_the_process_in_two_steps() {
        let drain = Drain::new();
        let doors = [drain.door(), drain.door()];
        for door in &doors {
            assert_eq!(told(door), [false; 4]);
        }
        drain.lead();
        let late = drain.door();
        for door in doors.iter().chain([&drain, &late]) {
            assert_eq!(told(door), [true, false, false, false]);
        }
        drain.begin();
        let later = drain.door();
        drain.lead();
        for door in doors.iter().chain([&drain, &late, &later]) {
            assert_eq!(told(door), [true; 4]);
        }
    }

    #[tokio::test]
    async fn who_has_looked_once_is_woken_when_requests_are_cut_off() {
        let drain = Drain::new();
        let door = drain.door();
        let mut kept = pin!(door.until_cut_off());
        let mut waits = pin!(door.unless_cut_off(std::future::pending::<()>()));
        let mut polls = 0;
        let woken = poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                assert!(kept.as_mut().poll(context).is_pending());
            }
            waits.as_mut().poll(context)
        });
        // The first poll of all comes before it.
        let cut_off = async {
            drain.begin();
            assert!(!door.is_cut_off());
            drain.cut_off();
        };
        let (woken, ()) = tokio::join!(biased; woken, cut_off);
        assert_eq!((woken, polls), (None, 2));
        assert_eq!(told(&door), [true; 4]);
        // What comes after it need not wait; what is there is taken.
        let late = drain.door();
        assert_eq!(
            late.unless_cut_off(std::future::pending::<()>()).await,
            None
        );
        assert_eq!(late.unless_cut_off(std::future::ready(1)).await, Some(1));
    }

    #[test]
    fn one_leaves_alone_and_is_served_to_its_end() {
        let drain = Drain::new();
        let (one, other) = (drain.door(), drain.door());
        one.retire();
        assert_eq!(told(&one), [true, false, false, true]);
        assert_eq!(told(&other), [false; 4]);
        assert_eq!(told(&drain), [false; 4]);
        drain.begin();
        assert_eq!(told(&one), [true; 4]);
    }

    #[test]
    fn those_who_are_gone_are_forgotten() {
        let drain = Drain::new();
        for _ in 0..100 {
            drain.door().retire();
        }
        assert!(drain.shared.doors.lock().len() <= 1);
    }
}
