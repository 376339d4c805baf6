//! Builds the house and keeps it running: listeners, reload, drain, signals.

mod background;
mod doors;
mod exporter;
mod listener;
mod logger;
mod notify;
mod source;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::doors::{Behind, Doors};
use self::exporter::Exports;
pub use self::logger::{flush_log, start_log};
use self::notify::{Manager, Standing};
pub use self::source::{Places, Source};
use self::watch::Watch;
use crate::admin::Reload;
use crate::config::Config;
use crate::front::{Drain, Ids};
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
        // A file that may not grow is a full disk, which the ledger lives
        // with; by default the signal that comes with it ends the process. Its
        // handler stays where nobody waits for it.
        drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?);
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
    watch: Watch,
    pool: Pool,
    behind: Behind,
    doors: Doors,
    reloads: mpsc::Receiver<Reload>,
    signals: Signals,
    exports: Exports,
    manager: Manager,
}

impl Server {
    /// Binds all listeners and begins to serve. `places` is where the
    /// configuration was found. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be bound, a credential file that cannot be
    /// read, or signals that cannot be waited for, in one sentence.
    pub async fn start(source: Source, config: Config, places: Places) -> Result<Self, String> {
        let signals = Signals::new()?;
        let pool = Pool::new()?;
        let mut doors = Doors::default();
        let opened = doors.open(&config)?;
        let ledger = ledger(&config)?;
        let house = House::build(config, &pool, ledger, None, clocks())?;
        let (reload, reloads) = mpsc::channel(WAITING_RELOADS);
        let behind = Behind {
            house: Arc::new(ArcSwap::from_pointee(house)),
            drain: Drain::new(),
            ids: Arc::new(Ids::new()),
            reload,
        };
        log::info!(
            event = "start", version = env!("CARGO_PKG_VERSION");
            "standin {}", env!("CARGO_PKG_VERSION")
        );
        let house = behind.house.load_full();
        doors.change(opened, &house.config, &behind).await;
        background::run(Arc::clone(&behind.house));
        let exports = Exports::new();
        exports.follow(&house);
        Ok(Self {
            source,
            watch: Watch::new(places),
            pool,
            behind,
            doors,
            reloads,
            signals,
            exports,
            manager: Manager::find(),
        })
    }

    /// Where clients come in, with the ports that the system gave.
    pub fn listen(&self) -> Vec<SocketAddr> {
        self.doors.listen()
    }

    /// The admin port, with the number that the system gave.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.doors.admin()
    }

    /// Serves until SIGTERM or SIGINT, then lets streams in flight finish.
    pub async fn run(mut self) {
        self.manager.tell(&Standing::Ready, "serving");
        loop {
            tokio::select! {
                wish = self.signals.next() => match wish {
                    Wish::Stop => break,
                    // Said in the log; a signal has no other answer.
                    Wish::Reload => drop(self.reload().await),
                },
                Some(tell) = self.reloads.recv() => {
                    // Whoever asked may have left.
                    let _ = tell.send(self.reload().await);
                }
                () = self.watch.moved() => {
                    log::info!("the configuration's file is another one now");
                    drop(self.reload().await);
                }
            }
        }
        // Who still asks for a reload is told that it is too late.
        self.reloads.close();
        while self.reloads.try_recv().is_ok() {}
        let behind = &self.behind;
        tokio::select! {
            () = leave(behind, &self.manager) => {}
            () = self.signals.stop() => {
                let left = behind.drain.in_flight();
                log::warn!(event = "drain_over", in_flight = left; "stopped at the second signal");
            }
        }
        tokio::join!(close_ledger(&behind.house), self.exports.close());
        log::info!(event = "stop"; "stopped");
    }

    /// Swaps the whole configuration, or nothing of it, and tells the service
    /// manager.
    async fn reload(&mut self) -> Result<(), String> {
        self.manager
            .tell(&Standing::Reloading, "reading the configuration");
        let swapped = self.swap().await;
        let status = match &swapped {
            Ok(()) => "serving",
            // What is wrong with it stands in the log.
            Err(_) => "serving with the old configuration: the new one was rejected",
        };
        self.manager.tell(&Standing::Ready, status);
        swapped
    }

    async fn swap(&mut self) -> Result<(), String> {
        let before = self.behind.house.load_full();
        let loaded = self.source.load_from(&mut self.watch.places);
        let built = loaded.and_then(|config| {
            let opened = self.doors.open(&config)?;
            let ledger = before.ledger.clone();
            let house = House::build(config, &self.pool, ledger, Some(&before), clocks())?;
            Ok((house, opened))
        });
        before.counts.reloaded(built.is_ok());
        let (house, opened) = match built {
            Ok(built) => built,
            Err(problems) => {
                log::error!(
                    event = "reload", result = "rejected", problems = problems.as_str();
                    "configuration not reloaded, the old one stays:\n{problems}"
                );
                return Err(problems);
            }
        };
        let (old, new) = (&before.config, &house.config);
        if old.threads != new.threads {
            log::warn!("threads takes effect at the next start");
        }
        if old.ledger.as_ref().map(|l| (&l.path, l.retention))
            != new.ledger.as_ref().map(|l| (&l.path, l.retention))
        {
            log::warn!("ledger.path and ledger.retention take effect at the next start");
        }
        logs::set(new.log);
        self.exports.follow(&house);
        let house = Arc::new(house);
        self.behind.house.store(Arc::clone(&house));
        let changed = self.doors.change(opened, &house.config, &self.behind);
        changed.await;
        log::info!(event = "reload", result = "accepted"; "configuration reloaded");
        Ok(())
    }
}

/// Serves on for the lead, then refuses what comes, and waits for what is in
/// flight.
async fn leave(behind: &Behind, manager: &Manager) {
    let (lead, longest) = {
        let house = behind.house.load();
        (house.config.lead, house.config.drain)
    };
    let drain = &behind.drain;
    if !lead.is_zero() {
        drain.lead();
        let leaving = format!("leaving: requests are taken for {lead:?} more");
        manager.tell(&Standing::Stopping, &leaving);
        log::info!(event = "lead"; "{leaving}");
        sleep(lead).await;
    }
    drain.begin();
    let left = drain.in_flight();
    let draining = format!("draining: {left} requests in flight");
    manager.tell(&Standing::Stopping, &draining);
    log::info!(event = "drain", in_flight = left; "{draining}");
    match timeout(longest, drain.empty()).await {
        // Out of time only cuts connections that have their answers.
        Ok(()) => drop(timeout(GOODBYE, drain.closed()).await),
        Err(_) => {
            let left = drain.in_flight();
            log::warn!(
                event = "drain_over", in_flight = left;
                "drain: {left} requests cut off"
            );
        }
    }
}
