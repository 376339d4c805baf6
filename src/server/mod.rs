//! Builds the house and keeps it running: listeners, reload, drain, signals.

mod background;
mod doors;
mod exporter;
mod leave;
mod listener;
mod logger;
mod notify;
mod signals;
mod source;
mod upgrade;
mod watch;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::doors::{Behind, Doors};
use self::exporter::Exports;
use self::leave::{follow, refuse, stop};
pub use self::logger::{flush_log, start_log};
use self::notify::{Manager, Standing};
use self::signals::{Signals, Wish};
pub use self::source::{Places, Source};
use self::upgrade::{Freed, Offer, Successor, Taken, give, take};
use self::watch::Watch;
use crate::admin::Reload;
use crate::config::{self, Config};
use crate::front::{Drain, Ids};
use crate::house::{Clocks, Current, House};
use crate::ledger::Ledger;
use crate::logs;
use crate::transport::Certified;
use crate::upstream::{Pool, Ways};

/// Wishes to reload that may wait; one that finds it full waits to be taken.
const WAITING_RELOADS: usize = 8;

/// How long the database may take to have the last records.
const FLUSH: Duration = Duration::from_secs(5);

/// Why a process ends that was to take over, at a signal.
const STOPPED: &str = "stopped before the running process had left";

/// Opens the ledger, where there is to be one.
fn ledger(config: &Config) -> Result<Option<Arc<Ledger>>, String> {
    let open = |config| Ledger::open(config, wall_clock).map(Arc::new);
    config.ledger.as_ref().map(open).transpose()
}

/// How long the system may take to let go what a dead process had.
const LET_GO: Duration = Duration::from_secs(10);

/// How soon that is looked for again.
const AGAIN: Duration = Duration::from_millis(50);

/// The same, where another process has just handed it over or has died.
async fn its_ledger(config: &Config, taken: &Taken) -> Result<Option<Arc<Ledger>>, String> {
    let end = Instant::now() + LET_GO;
    loop {
        match ledger(config) {
            Err(_) if taken.is_alone() && Instant::now() < end => sleep(AGAIN).await,
            opened => return opened,
        }
    }
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
    /// Whether the process that this one has taken over from has left.
    deciding: Option<Waited<Result<(), String>>>,
    /// What the last process that was handed over to may have of this one.
    freed: Freed,
}

/// How a process ends.
enum End {
    /// It has taken over, and the other process serves on.
    Failed(String),
    Followed(Successor),
    Stopped,
}

impl Server {
    /// Binds all listeners and begins to serve. `places` is where the
    /// configuration was found. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be bound, a credential file that cannot be
    /// read, or signals that cannot be waited for, in one sentence.
    pub async fn start(source: Source, config: Config, places: Places) -> Result<Self, String> {
        Self::build(source, config, places, Signals::new()?, None).await
    }

    /// The same with the listening sockets of a running process, which is
    /// waited for at the configuration's `upgrade_socket`; it serves until this
    /// one does.
    ///
    /// # Errors
    /// As for [`Server::start`], or there is no such process; the other one
    /// then serves on.
    pub async fn take_over(source: Source, config: Config, places: Places) -> Result<Self, String> {
        let mut signals = Signals::new()?;
        let Some(path) = config.upgrade_socket.clone() else {
            return Err("`shutdown.upgrade_socket` is not there".to_owned());
        };
        let mut taken = tokio::select! {
            taken = take(&path) => taken?,
            () = signals.stop() => return Err("stopped before a process was found".to_owned()),
        };
        let built = Self::build(source, config, places, signals, Some(&mut taken)).await;
        if let Err(why) = &built {
            taken.fail(why);
        }
        built
    }

    async fn build(
        source: Source,
        config: Config,
        places: Places,
        mut signals: Signals,
        mut taken: Option<&mut Taken>,
    ) -> Result<Self, String> {
        let manager = Manager::find();
        let pool = Pool::new()?;
        let mut doors = Doors::default();
        if let Some(taken) = &mut taken {
            doors.inherited = std::mem::take(&mut taken.sockets);
        }
        let opened = doors.open(&config)?;
        let left = std::mem::take(&mut doors.inherited);
        let ledger = match &mut taken {
            None => ledger(&config)?,
            Some(taken) => {
                // What can fail does so before the other one lets go of anything.
                Ways::new(&config, &pool, None)?;
                Certified::new(&config.listen, None)?;
                let place = |ledger: &config::Ledger| Ledger::place(&ledger.path);
                let place = config.ledger.as_ref().and_then(place);
                let handed = async {
                    taken.ready(left, place).await?;
                    its_ledger(&config, taken).await
                };
                tokio::select! {
                    ledger = handed => ledger?,
                    () = signals.stop() => return Err(STOPPED.to_owned()),
                }
            }
        };
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
        let mut deciding: Option<Waited<_>> = None;
        if let Some(taken) = taken {
            // The ledger may have taken its time.
            if signals.has_stop().await {
                doors.leave_all().await;
                refuse(&behind, None).await;
                close_ledger(&behind.house).await;
                return Err(STOPPED.to_owned());
            }
            // Before the other one can end.
            manager.tell(&Standing::Main, "serving");
            deciding = Some(Box::pin(taken.serving().await.decided()));
        }
        Ok(Self {
            source,
            watch: Watch::new(places),
            pool,
            behind,
            doors,
            reloads,
            signals,
            exports,
            manager,
            deciding,
            freed: Freed::default(),
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

    /// Serves until SIGTERM or SIGINT, or until another process does; then
    /// lets streams in flight finish.
    ///
    /// # Errors
    /// It was to take over, and the other process serves on; in one sentence.
    pub async fn run(mut self) -> Result<(), String> {
        self.manager.tell(&Standing::Ready, "serving");
        let end = self.serve().await;
        // Who still asks for a reload is told that it is too late.
        self.reloads.close();
        while self.reloads.try_recv().is_ok() {}
        let behind = &self.behind;
        let mut done = Ok(());
        match end {
            End::Failed(why) => {
                // Who comes is the other one's from here on.
                self.doors.leave_all().await;
                refuse(behind, None).await;
                done = Err(why);
            }
            End::Stopped => stop(behind, &self.manager, &mut self.signals).await,
            End::Followed(Successor { process, kept }) => {
                self.doors.leave(&kept).await;
                log::info!(
                    event = "upgrade", step = "done", process;
                    "upgrade: process {process} serves, and this one accepts no more"
                );
                follow(behind, &mut self.signals).await;
            }
        }
        tokio::join!(close_ledger(&behind.house), self.exports.close());
        log::info!(event = "stop"; "stopped");
        done
    }

    /// Until the process is to end.
    async fn serve(&mut self) -> End {
        let mut giving: Option<Giving> = None;
        // Two processes know the listeners: they stay until it is decided
        // whose they are.
        let (mut reload_then, mut upgrade_then) = (false, false);
        loop {
            let is_settled = giving.is_none() && self.deciding.is_none();
            tokio::select! {
                // What has been decided counts before what is wished then.
                biased;
                decided = waited(&mut self.deciding) => {
                    self.deciding = None;
                    if let Err(why) = decided {
                        return End::Failed(why);
                    }
                    if std::mem::take(&mut reload_then) {
                        drop(self.reload().await);
                    }
                    if std::mem::take(&mut upgrade_then) {
                        giving = self.give();
                    }
                }
                wish = self.signals.next() => match wish {
                    // Dropped, it tells the other one to serve on.
                    Wish::Stop => return match self.deciding.take() {
                        Some(_undecided) => End::Failed(STOPPED.to_owned()),
                        None => {
                            if giving.take().is_some() && let Some(kept) = self.freed.get() {
                                self.doors.leave(kept).await;
                            }
                            End::Stopped
                        }
                    },
                    Wish::Reload if !is_settled => reload_then = true,
                    // Said in the log; a signal has no other answer.
                    Wish::Reload => drop(self.reload().await),
                    Wish::Upgrade if self.deciding.is_some() => upgrade_then = true,
                    Wish::Upgrade if giving.is_some() => {}
                    Wish::Upgrade => giving = self.give(),
                },
                given = waited(&mut giving) => {
                    giving = None;
                    match given {
                        Ok(successor) => return End::Followed(successor),
                        Err(why) => self.gave_up(&why),
                    }
                    if std::mem::take(&mut reload_then) {
                        drop(self.reload().await);
                    }
                }
                Some(tell) = self.reloads.recv(), if is_settled => {
                    // Whoever asked may have left.
                    let _ = tell.send(self.reload().await);
                }
                () = self.watch.moved(), if is_settled => {
                    log::info!("the configuration's file is another one now");
                    drop(self.reload().await);
                }
            }
        }
    }

    /// Begins to hand over, where the configuration says how.
    fn give(&mut self) -> Option<Giving> {
        let house = self.behind.house.load();
        let Some(path) = house.config.upgrade_socket.clone() else {
            self.gave_up("there is no `shutdown.upgrade_socket`");
            return None;
        };
        match self.doors.share() {
            Ok((sockets, descriptors)) => {
                let ledger = house.ledger.clone();
                self.freed = Freed::default();
                let offer = Offer {
                    sockets,
                    descriptors,
                    ledger,
                    freed: Arc::clone(&self.freed),
                };
                Some(Box::pin(give(path, offer)))
            }
            Err(error) => {
                self.gave_up(&error.to_string());
                None
            }
        }
    }

    fn gave_up(&self, why: &str) {
        log::warn!(
            event = "upgrade", step = "failed", why;
            "upgrade: not done, and this process serves on: {why}"
        );
        // Another one may have said otherwise.
        self.manager
            .tell(&Standing::Main, "serving; the upgrade was not done");
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

/// Something that is under way.
type Waited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A hand-over that is.
type Giving = Waited<Result<Successor, String>>;

/// What becomes of it; never anything where there is none.
async fn waited<T>(under_way: &mut Option<Waited<T>>) -> T {
    match under_way {
        Some(under_way) => under_way.await,
        None => std::future::pending().await,
    }
}
