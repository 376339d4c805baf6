//! Idle HTTP/1.1 connections to one address, for the next request there.
//!
//! Nobody watches them while they wait: a connection that was closed
//! meanwhile is found when it is taken, or by the next sweep. A watcher of its
//! own for each would be a task that every request starts and stops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::transport::Transport;

/// How long an idle connection is kept. Providers close theirs after a minute
/// or more.
pub(super) const IDLE: Duration = Duration::from_secs(55);

/// Idle connections kept in all. One costs a socket; the most that a burst
/// leaves behind should not outgrow what it took to serve it.
pub(super) const MOST: usize = 4096;

/// Idle connections to one address.
#[derive(Debug)]
pub(super) struct Idle {
    /// The one that was put here last stands last, and is taken first: so the
    /// others can grow old and go.
    kept: Mutex<Vec<Kept>>,
    /// Those to all addresses.
    all: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Kept {
    stream: Transport,
    since: Instant,
}

impl Idle {
    /// `all` counts those to all addresses.
    pub(super) fn new(all: Arc<AtomicUsize>) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            all,
        }
    }

    /// A connection that is still open, as far as can be known here.
    pub(super) fn take(&self) -> Option<Transport> {
        loop {
            let mut kept = self.kept.lock().pop()?;
            self.all.fetch_sub(1, Ordering::Relaxed);
            if kept.since.elapsed() < IDLE && is_open(&mut kept.stream) {
                return Some(kept.stream);
            }
        }
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub(super) fn put(&self, stream: Transport) {
        let since = Instant::now();
        let mut kept = self.kept.lock();
        let oldest = if self.all.load(Ordering::Relaxed) < MOST {
            self.all.fetch_add(1, Ordering::Relaxed);
            None
        } else if kept.is_empty() {
            return;
        } else {
            Some(kept.remove(0))
        };
        kept.push(Kept { stream, since });
        drop(kept);
        // Closed when nobody waits for the lock.
        drop(oldest);
    }

    /// Lets go those that are closed or too old.
    pub(super) fn sweep(&self) {
        let mut kept = std::mem::take(&mut *self.kept.lock());
        let count = kept.len();
        kept.retain_mut(|kept| kept.since.elapsed() < IDLE && is_open(&mut kept.stream));
        self.all.fetch_sub(count - kept.len(), Ordering::Relaxed);
        let mut now = self.kept.lock();
        // What came meanwhile is newer.
        kept.append(&mut now);
        *now = kept;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.lock().len()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let count = self.kept.get_mut().len();
        self.all.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Whether a connection is open and silent: an end, an error, or bytes that
/// nobody asked for mean that it serves no other request.
fn is_open(stream: &mut Transport) -> bool {
    let mut byte = [0];
    let read = std::future::poll_fn(|context| {
        let mut into = ReadBuf::new(&mut byte);
        Pin::new(&mut *stream).poll_read(context, &mut into)
    });
    // Asked whatever the task's budget: "not now" would pass for silence.
    let read = unconstrained(read);
    std::pin::pin!(read)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

#[cfg(test)]
mod tests {
    use std::os::fd::RawFd;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(at), listener.accept());
        (Transport::Tcp(ours.unwrap()), theirs.unwrap().0)
    }

    fn id(of: &Transport) -> RawFd {
        of.id()
    }

    fn idle() -> Idle {
        Idle::new(Arc::default())
    }

    /// Waits until the runtime has heard what the other side did.
    async fn heard(stream: &mut Transport) {
        let mut none = [];
        let mut into = ReadBuf::new(&mut none);
        while is_open(stream) {
            tokio::task::yield_now().await;
        }
        let _ = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut into);
    }

    #[tokio::test]
    async fn the_last_one_put_is_the_first_one_taken() {
        let idle = idle();
        let ((one, _keep), (two, _keep_too)) = (pair().await, pair().await);
        let (first, second) = (id(&one), id(&two));
        idle.put(one);
        idle.put(two);
        assert_eq!(idle.take().map(|stream| id(&stream)), Some(second));
        assert_eq!(idle.take().map(|stream| id(&stream)), Some(first));
        assert!(idle.take().is_none());
        assert_eq!(idle.all.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_was_closed_or_spoke_unasked_is_not_taken() {
        for speaks in [false, true] {
            let idle = idle();
            let ((good, _keep), (mut bad, mut theirs)) = (pair().await, pair().await);
            let wanted = id(&good);
            if speaks {
                theirs
                    .write_all(b"HTTP/1.1 408 Late\r\n\r\n")
                    .await
                    .unwrap();
            } else {
                drop(theirs);
            }
            heard(&mut bad).await;
            idle.put(good);
            idle.put(bad);
            assert_eq!(idle.take().map(|stream| id(&stream)), Some(wanted));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_grown_old_goes() {
        let idle = idle();
        let ((one, _keep), (two, _keep_too)) = (pair().await, pair().await);
        idle.put(one);
        tokio::time::advance(IDLE / 2).await;
        idle.put(two);
        tokio::time::advance(IDLE / 2).await;
        idle.sweep();
        assert_eq!((idle.len(), idle.all.load(Ordering::Relaxed)), (1, 1));
        tokio::time::advance(IDLE / 2).await;
        assert!(idle.take().is_none());
        assert_eq!(idle.all.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn above_the_most_the_oldest_goes_and_who_has_none_keeps_none() {
        let all = Arc::new(AtomicUsize::new(MOST - 1));
        let (idle, other) = (Idle::new(Arc::clone(&all)), Idle::new(Arc::clone(&all)));
        let ((one, _a), (two, _b), (three, _c)) = (pair().await, pair().await, pair().await);
        let newest = id(&two);
        idle.put(one);
        idle.put(two);
        other.put(three);
        assert_eq!((idle.len(), other.len()), (1, 0));
        assert_eq!(idle.take().map(|stream| id(&stream)), Some(newest));
        drop((idle, other));
        assert_eq!(all.load(Ordering::Relaxed), MOST - 1);
    }
}
