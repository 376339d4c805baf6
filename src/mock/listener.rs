//! The mock itself: its address, its connections, what it has seen.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection;
use super::script::Script;
use super::seen::Seen;

/// Enough for a load test's opening rush.
const BACKLOG: u32 = 4096;
/// Names beyond these are counted under an empty name.
const MAX_MODELS: usize = 1024;
/// Before accepting is tried again, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// What a mock has counted since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections ever accepted.
    pub accepted: u64,
    /// Answers that were played to their scripted end, be it a cut.
    pub answered: u64,
    /// Answers whose peer left before they were written.
    pub cancelled: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests, also broken and malformed ones.
    pub seen: u64,
    /// Requests that met a connection which [`Script::stale_after`] closed.
    pub stale: u64,
}

/// A provider that does what its script says. Dropping it closes the listener
/// and all connections.
#[derive(Debug)]
pub struct Mock {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Arc<Notify>,
    /// The accepting task, which owns those of the connections.
    tasks: JoinSet<()>,
}

/// What the mock and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    script: RwLock<Arc<Script>>,
    counts: watch::Sender<Counts>,
    seen: Mutex<Vec<Arc<Seen>>>,
    models: Mutex<HashMap<String, u64>>,
    /// The next request's number.
    next: AtomicU64,
}

/// Counts a connection as open while it lives.
pub(super) struct Guest {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
}

/// An address at which connections are refused, and which nobody else gets
/// while this lives.
#[derive(Debug)]
pub struct Refused {
    addr: SocketAddr,
    _bound: TcpSocket,
}

impl Mock {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Mock::bind`].
    pub async fn start(script: impl Into<Script>) -> io::Result<Self> {
        Self::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script).await
    }

    /// Listens on this address, also right after another mock has left it.
    ///
    /// # Errors
    /// What the operating system says to binding and listening.
    #[expect(
        clippy::unused_async,
        reason = "it needs a runtime, and says so by this"
    )]
    pub async fn bind(addr: SocketAddr, script: impl Into<Script>) -> io::Result<Self> {
        let script = script.into();
        let socket = socket(addr)?;
        if let Some(bytes) = script.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let listener = socket.listen(BACKLOG)?;
        let shared = Arc::new(Shared {
            script: RwLock::new(Arc::new(script)),
            counts: watch::Sender::new(Counts::default()),
            seen: Mutex::default(),
            models: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let stop = Arc::new(Notify::new());
        let addr = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), Arc::clone(&stop)));
        Ok(Self {
            addr,
            shared,
            stop,
            tasks,
        })
    }

    /// An address where nothing listens.
    ///
    /// # Errors
    /// What the operating system says to binding.
    pub fn refused() -> io::Result<Refused> {
        // Bound and not listening: connecting is refused, and the port is taken.
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Refused {
            addr: socket.local_addr()?,
            _bound: socket,
        })
    }

    /// The same at this address, for example one that a mock has just left. A
    /// mock can be bound there again while this lives.
    ///
    /// # Errors
    /// What the operating system says to binding.
    pub fn refused_at(addr: SocketAddr) -> io::Result<Refused> {
        let socket = socket(addr)?;
        Ok(Refused {
            addr: socket.local_addr()?,
            _bound: socket,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`
    pub fn base_url(&self) -> String {
        base_url(self.addr)
    }

    /// Plays another script from the next request on, also on connections that
    /// are open. What was seen and counted stays.
    pub fn play(&self, script: impl Into<Script>) {
        let script = Arc::new(script.into());
        *self
            .shared
            .script
            .write()
            .unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// The remembered requests, in the order in which reading them ended.
    pub fn seen(&self) -> Vec<Arc<Seen>> {
        lock(&self.shared.seen).clone()
    }

    /// The last one of them.
    pub fn last(&self) -> Option<Arc<Seen>> {
        lock(&self.shared.seen).last().cloned()
    }

    /// How many requests asked for this model (those without one for an empty
    /// name).
    pub fn asked(&self, model: &str) -> u64 {
        lock(&self.shared.models).get(model).copied().unwrap_or(0)
    }

    /// All counters.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Connections ever accepted.
    pub fn connections(&self) -> u64 {
        self.counts().accepted
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.counts().open
    }

    /// Answers whose peer left before they were written.
    pub fn cancelled(&self) -> u64 {
        self.counts().cancelled
    }

    /// Waits until the counters are as wanted. Has no limit of its own.
    pub async fn wait_until(&self, wanted: impl Fn(&Counts) -> bool) {
        // The sender is ours, so there is always one to wait for.
        let _ = self.shared.counts.subscribe().wait_for(wanted).await;
    }

    /// Waits until so many requests have been seen.
    pub async fn wait_for(&self, requests: u64) {
        self.wait_until(|counts| counts.seen >= requests).await;
    }

    /// Waits until so many connections are open, or fewer.
    pub async fn wait_closed(&self, connections: u64) {
        self.wait_until(|counts| counts.open <= connections).await;
    }

    /// Waits until the peer has left so many answers.
    pub async fn wait_cancelled(&self, answers: u64) {
        self.wait_until(|counts| counts.cancelled >= answers).await;
    }

    /// Closes the listener and all connections, and waits until they are
    /// closed. What was seen can still be asked for.
    pub async fn stop(&mut self) {
        self.stop.notify_one();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Refused {
    /// The address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`
    pub fn base_url(&self) -> String {
        base_url(self.addr)
    }
}

impl Shared {
    pub(super) fn script(&self) -> Arc<Script> {
        let script = self.script.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&script)
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// Notes a request; first the request, then the count, so that whoever
    /// waited for the count finds it.
    pub(super) fn saw(&self, seen: Seen) -> Arc<Seen> {
        let seen = Arc::new(seen);
        let remembered = self.script().remembered;
        if remembered > 0 {
            let mut all = lock(&self.seen);
            if all.len() < remembered {
                all.push(Arc::clone(&seen));
            }
        }
        self.count_model(seen.model().unwrap_or_default());
        self.count(|counts| counts.seen += 1);
        seen
    }

    fn count_model(&self, model: &str) {
        let mut models = lock(&self.models);
        if let Some(count) = models.get_mut(model) {
            *count += 1;
        } else if models.len() < MAX_MODELS {
            models.insert(model.into(), 1);
        } else {
            *models.entry(String::new()).or_default() += 1;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.count(|counts| counts.open -= 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.notified() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let mut number = 0;
                shared.count(|counts| {
                    number = counts.accepted;
                    counts.accepted += 1;
                    counts.open += 1;
                });
                let guest = Guest { shared: Arc::clone(&shared), number };
                connections.spawn(connection::serve(guest, stream));
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

fn base_url(addr: SocketAddr) -> String {
    format!("http://{addr}/v1")
}

/// A panic elsewhere leaves counters and lists whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
