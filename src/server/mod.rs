//! Builds the house and keeps it running: listeners, reload, drain, signals.

mod background;
mod exporter;
mod listener;
mod logger;
mod notify;
mod source;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use self::exporter::Exports;
pub use self::logger::{flush_log, start_log};
use self::notify::{Manager, Standing};
pub use self::source::Source;
use crate::admin::{Admin, Reload};
use crate::config::Config;
use crate::front::{Drain, Gate, Ids};
use crate::house::{Clocks, Current, House};
use crate::ledger::Ledger;
use crate::logs;
use crate::upstream::Pool;

/// Wishes to reload that may wait; one that finds it full waits to be taken.
const WAITING_RELOADS: usize = 8;

/// How long the connections may take to hand out what is written, and to say
/// goodbye, when the last request has ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long the database may take to have the last records.
const FLUSH: Duration = Duration::from_secs(5);

/// Opens the ledger, where there is to be one.
fn ledger(config: &Config) -> Result<Option<Arc<Ledger>>, String> {
    let open = |config| Ledger::open(config, wall_clock).map(Arc::new);
    config.ledger.as_ref().map(open).transpose()
}

/// Brings what is left over into the database. What is not stays in the
/// journal, and is found there at the next start.
async fn close_ledger(house: &Current) {
    let Some(ledger) = house.load().ledger.clone() else {
        return;
    };
    let flushed = tokio::task::spawn_blocking(move || ledger.flush());
    let _ = timeout(FLUSH, flushed).await;
}

fn clocks() -> Clocks {
    Clocks {
        now: Instant::now().into_std(),
        wall: wall_clock(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the roof reads the wall clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The signals that a server knows. Waited for before anybody can know that
/// it runs: what comes earlier ends the process.
struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let signal = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}

/// What a signal asks for.
#[derive(PartialEq, Eq)]
enum Wish {
    Reload,
    Stop,
}

/// A running proxy.
pub struct Server {
    source: Source,
    pool: Pool,
    house: Current,
    drain: Arc<Drain>,
    reloads: mpsc::Receiver<Reload>,
    signals: Signals,
    exports: Exports,
    manager: Manager,
    /// Where clients come in; with the ports that the system gave.
    pub listen: Vec<SocketAddr>,
    /// The admin port.
    pub admin: SocketAddr,
}

impl Server {
    /// Binds all listeners and begins to serve. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// An address that cannot be bound, a credential file that cannot be
    /// read, or signals that cannot be waited for, in one sentence.
    pub fn start(source: Source, config: Config) -> Result<Self, String> {
        let signals = Signals::new()?;
        let pool = Pool::new()?;
        let listeners = config.listen.iter().map(|at| listener::bind(*at));
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let admin_listener = listener::bind(config.admin)?;
        let listen = listeners.iter().map(|l| l.1).collect();
        let admin = admin_listener.1;
        let ledger = ledger(&config)?;
        let house = House::build(config, &pool, ledger, None, clocks())?;
        let house: Current = Arc::new(ArcSwap::from_pointee(house));
        let drain = Drain::new();
        let ids = Arc::new(Ids::new());
        let (tell, reloads) = mpsc::channel(WAITING_RELOADS);
        let gate = Gate::new(Arc::clone(&house), Arc::clone(&drain), Arc::clone(&ids));
        let gate = Arc::new(gate);
        log::info!(
            event = "start", version = env!("CARGO_PKG_VERSION");
            "standin {}", env!("CARGO_PKG_VERSION")
        );
        for (listener, at) in listeners {
            log::info!(event = "listening", address:% = at; "listening on {at}");
            listener::run(listener, Arc::clone(&gate));
        }
        let door = Admin::new(admin, Arc::clone(&house), Arc::clone(&drain), ids, tell);
        log::info!(event = "admin", address:% = admin; "admin on {admin}");
        listener::run(admin_listener.0, Arc::new(door));
        background::run(Arc::clone(&house));
        let exports = Exports::new();
        exports.follow(&house.load());
        Ok(Self {
            source,
            pool,
            house,
            drain,
            reloads,
            signals,
            exports,
            manager: Manager::find(),
            listen,
            admin,
        })
    }

    /// Serves until SIGTERM or SIGINT, then lets streams in flight finish.
    pub async fn run(mut self) {
        self.manager.tell(&Standing::Ready, "serving");
        loop {
            tokio::select! {
                wish = self.signals.next() => match wish {
                    Wish::Stop => break,
                    // Said in the log; a signal has no other answer.
                    Wish::Reload => drop(self.reload()),
                },
                Some(tell) = self.reloads.recv() => {
                    // Whoever asked may have left.
                    let _ = tell.send(self.reload());
                }
            }
        }
        let longest = self.house.load().config.drain;
        self.drain.begin();
        // Who still asks for a reload is told that it is too late.
        self.reloads.close();
        while self.reloads.try_recv().is_ok() {}
        let left = self.drain.in_flight();
        let draining = format!("draining: {left} requests in flight");
        self.manager.tell(&Standing::Stopping, &draining);
        log::info!(event = "drain", in_flight = left; "{draining}");
        tokio::select! {
            drained = timeout(longest, self.drain.empty()) => match drained {
                // Out of time only cuts connections that have their answers.
                Ok(()) => drop(timeout(GOODBYE, self.drain.closed()).await),
                Err(_) => {
                    let left = self.drain.in_flight();
                    log::warn!(
                        event = "drain_over", in_flight = left;
                        "drain: {left} requests cut off"
                    );
                }
            },
            () = self.signals.stop() => {
                let left = self.drain.in_flight();
                log::warn!(event = "drain_over", in_flight = left; "stopped at the second signal");
            }
        }
        tokio::join!(close_ledger(&self.house), self.exports.close());
        log::info!(event = "stop"; "stopped");
    }

    /// Swaps the whole configuration, or nothing of it, and tells the service
    /// manager.
    fn reload(&self) -> Result<(), String> {
        let manager = &self.manager;
        manager.tell(&Standing::Reloading, "reading the configuration");
        let swapped = self.swap();
        let status = match &swapped {
            Ok(()) => "serving",
            // What is wrong with it stands in the log.
            Err(_) => "serving with the old configuration: the new one was rejected",
        };
        manager.tell(&Standing::Ready, status);
        swapped
    }

    fn swap(&self) -> Result<(), String> {
        let before = self.house.load_full();
        let built = self.source.load().and_then(|config| {
            let ledger = before.ledger.clone();
            House::build(config, &self.pool, ledger, Some(&before), clocks())
        });
        before.counts.reloaded(built.is_ok());
        let house = match built {
            Ok(house) => house,
            Err(problems) => {
                log::error!(
                    event = "reload", result = "rejected", problems = problems.as_str();
                    "configuration not reloaded, the old one stays:\n{problems}"
                );
                return Err(problems);
            }
        };
        let (old, new) = (&before.config, &house.config);
        let moves = old.listen != new.listen || old.admin != new.admin;
        if moves || old.threads != new.threads {
            log::warn!("listen, admin and threads take effect at the next start");
        }
        if old.ledger.as_ref().map(|l| (&l.path, l.retention))
            != new.ledger.as_ref().map(|l| (&l.path, l.retention))
        {
            log::warn!("ledger.path and ledger.retention take effect at the next start");
        }
        logs::set(new.log);
        self.exports.follow(&house);
        self.house.store(Arc::new(house));
        log::info!(event = "reload", result = "accepted"; "configuration reloaded");
        Ok(())
    }
}
