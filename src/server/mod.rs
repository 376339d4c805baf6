//! Builds the house, alone or in the place of a running process, and ends it.
//! What goes on in between is in `course` and `reload`.

mod background;
mod course;
mod doors;
mod exporter;
mod leave;
mod listener;
mod logger;
mod notify;
mod reload;
mod signals;
mod source;
mod upgrade;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::course::Waited;
use self::doors::{Behind, Doors};
use self::exporter::Exports;
use self::leave::{follow, refuse, stop};
pub use self::logger::{flush_log, start_log};
use self::notify::{Manager, Standing};
use self::signals::Signals;
pub use self::source::{Places, Source};
use self::upgrade::{Freed, Successor, Taken, take};
use self::watch::Watch;
use crate::admin::Reload;
use crate::config::{self, Config};
use crate::front::{Drain, Ids};
use crate::house::{Clocks, Current, House};
use crate::ledger::Ledger;
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
}
