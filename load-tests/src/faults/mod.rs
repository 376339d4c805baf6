//! `faults`: everything goes wrong at once under load, for as long as one
//! likes, and every request is answered all the same, or visibly cut.

mod admin;
mod after;
mod books;
mod cast;
mod cut;
mod deaths;
mod harm;
mod kin;
mod load;
mod names;
mod place;
mod report;
mod upgrades;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use cut::{CUT, Cut};

use self::after::{heal, settle};
use self::books::Books;
use self::cast::Cast;
use self::harm::Done;
use self::kin::{Kin, Process};
use self::load::Load;
use self::names::Names;
use self::place::Place;
use self::report::{Before, Found, Holds};
use self::upgrades::{Stage, Upgrades, WARM};
use crate::folder::Folder;
use crate::proxy::Proxy;
use crate::table::verdict;
use crate::tally::Memory;
use crate::{figures, print, say};

/// How long it may take until what is idle has been let go, …
const LET_GO: Duration = Duration::from_secs(30);
/// … and until the process has ended.
const END: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) connections: usize,
    pub(crate) seed: u64,
    /// Kills standin itself again and again, instead of all else.
    pub(crate) deaths: bool,
    pub(crate) json: bool,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    let observe = Box::pin(observe(options, &standin));
    let found = LocalSet::new().run_until(observe).await?;
    print(&match options.json {
        true => found.json().to_string(),
        false => found.table().to_string(),
    })?;
    verdict(found.violations())
}

/// What all of a run needs.
struct Scene {
    place: Place,
    names: Option<Names>,
    /// Whether a running process can be given limits.
    has_limits: bool,
    standin: PathBuf,
}

impl Scene {
    /// What becomes standin.
    fn command(&self) -> Command {
        match &self.names {
            Some(names) => names.before(&self.standin),
            None => Command::new(&self.standin),
        }
    }

    /// Starts it with the configuration that is there.
    async fn proxy(&self) -> Result<Proxy, String> {
        Proxy::start_by(self.command(), &self.place.config()).await
    }
}

async fn observe(options: &Options, standin: &Path) -> Result<Found, String> {
    let folder = Folder::new()?;
    let names = Names::new(&folder.0, options.seed).await?;
    if names.is_none() {
        say("no process can have host names of its own here: changing addresses are left out");
    }
    let cast = Cast::start(options.seed).await?;
    let scene = Scene {
        place: Place {
            folder: folder.0.clone(),
            homes: cast.homes(),
            has_names: names.is_some(),
        },
        names,
        has_limits: harm::has_limits().await,
        standin: standin.to_owned(),
    };
    if !scene.has_limits {
        say("there is no prlimit here: a full disk is left out");
    }
    scene.place.write(&scene.place.yaml(0))?;
    let mut found = match options.deaths {
        true => Box::pin(deaths::observe(options, &scene, cast)).await?,
        false => Box::pin(all_at_once(options, scene, cast)).await?,
    };
    found.seed = options.seed;
    found.connections = options.connections;
    Ok(found)
}

/// Reads the log; says how the process ended. What must not be there goes into
/// `wrong`.
async fn watch(proxy: &mut Proxy, wrong: &mut Vec<String>) -> Result<ExitStatus, String> {
    let look = |line: &str| {
        if line.contains("panicked at") && wrong.len() < 10 {
            say(line);
            wrong.push(format!("standin's log: {line}"));
        }
    };
    proxy.watched(look).await
}

async fn all_at_once(options: &Options, mut scene: Scene, mut cast: Cast) -> Result<Found, String> {
    let first = Process::spawn(scene.command(), &scene.place.config(), false)?;
    let (listen, target) = first.serving(END).await?;
    let kin = Kin::new(first, target);
    let load = Rc::new(Load::new(options.seed, listen));
    let mut found = Found::default();
    let done = Done::default();
    let work = work(
        options, &load, &done, &mut scene, &mut cast, &kin, &mut found,
    );
    tokio::select! {
        worked = work => worked?,
        ended = kin.ended() => return Err(ended),
    }
    // Nothing keeps a connection any more but standin itself.
    let quiet = async {
        cast.end().await?;
        let until = Instant::now() + LET_GO;
        loop {
            found.end = holds(kin.target.get().pid)?;
            if found.end.is_as_before(found.start) || Instant::now() > until {
                return Ok::<(), String>(());
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        quiet = quiet => quiet?,
        ended = kin.ended() => return Err(ended),
    }
    let last = kin.current();
    last.signal(Signal::SIGTERM)?;
    match last.end(END).await {
        Some(status) if status.success() => {}
        Some(status) => found.wrong.push(format!("standin ended with {status}")),
        None => found
            .wrong
            .push(format!("standin does not end within {END:?}")),
    }
    found.wrong.extend(last.wrong());
    found.books = Books::of(&scene.place.ledger(), &load.seen.borrow())?;
    found.take(&load, &done);
    found.full = scene.has_limits.then(|| done.full.get());
    found.names = scene.names.is_some().then(|| done.names.get());
    Ok(found)
}

/// Ends it as a service manager does.
async fn end(proxy: &mut Proxy, wrong: &mut Vec<String>) -> Result<(), String> {
    proxy.signal(Signal::SIGTERM)?;
    let ended = timeout(END, watch(proxy, wrong)).await;
    match ended {
        Ok(status) => {
            let status = status?;
            if !status.success() {
                wrong.push(format!("standin ended with {status}"));
            }
        }
        Err(_) => wrong.push(format!("standin does not end within {END:?}")),
    }
    Ok(())
}

async fn work(
    options: &Options,
    load: &Rc<Load>,
    done: &Done,
    scene: &mut Scene,
    cast: &mut Cast,
    kin: &Kin,
    found: &mut Found,
) -> Result<(), String> {
    let pid = kin.target.get().pid;
    found.start = holds(pid)?;
    let memory = RefCell::new(Memory {
        start: figures::memory(pid)?,
        ..Memory::default()
    });
    let upgrades = Rc::<Upgrades>::default();
    let mut clients = JoinSet::new();
    for _ in 0..options.connections {
        clients.spawn_local(load::client(Rc::clone(load)));
    }
    let end = Instant::now() + options.time;
    let longest = Cell::new(Duration::ZERO);
    let command = match &scene.names {
        Some(names) => names.mounted(),
        None => Vec::new(),
    };
    let standin = scene.standin.clone();
    let command = || names::before(&command, &standin);
    let stage = Stage {
        load,
        kin,
        place: &scene.place,
        upgrades: &upgrades,
        memory: &memory,
        command: &command,
    };
    tokio::try_join!(
        harm::kills(load, done, &mut cast.mortal, end),
        harm::reloads(load, done, &scene.place, kin, end),
        harm::disk(load, done, &scene.place, kin, scene.has_limits, end),
        harm::names(load, done, &mut scene.names, end),
        harm::healthz(load, kin, &longest, end),
        upgrades::upgrades(&stage, options.time, end),
        look(options, load, kin, &memory, end),
    )?;
    found.longest_healthz = longest.get();
    load.note("nobody harms any more");
    cast.calm().await?;
    let target = kin.target.get();
    found.healed = heal(load, target).await?;
    load.stop.set(true);
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|error| format!("a client: {error}"))?;
    }
    found.wall = load.began.elapsed();
    sleep(Duration::from_secs(1)).await;
    found.memory = memory.take();
    found.memory.end = figures::memory(target.pid)?;
    let mut farewells = upgrades.farewells.take();
    while let Some(said) = farewells.join_next().await {
        said.map_err(|error| format!("an old process: {error}"))?;
    }
    found.gone = load.gone.get();
    found.before = Before::of(&upgrades);
    settle(load, target, found, true).await
}

/// Looks at memory, and says now and then how far it is.
async fn look(
    options: &Options,
    load: &Load,
    kin: &Kin,
    memory: &RefCell<Memory>,
    end: Instant,
) -> Result<(), String> {
    let warm = WARM.min(options.time / 10);
    let mut told = 0;
    while Instant::now() < end {
        let process = kin.current();
        let now = figures::memory(process.pid)?;
        memory.replace_with(|memory| Memory {
            peak: memory.peak.max(now),
            warm: match memory.warm {
                0 if process.began.elapsed() >= warm => now,
                warm => warm,
            },
            ..*memory
        });
        let tenths = load.began.elapsed().as_millis() * 10 / options.time.as_millis().max(1);
        if tenths > told {
            told = tenths;
            let requests = load.seen.borrow().len();
            let wrong = load.tally.borrow().wrong;
            say(&format!(
                "{tenths}0 %: {requests} requests, {wrong} violations, {now} KiB"
            ));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

fn holds(pid: u32) -> Result<Holds, String> {
    Ok(Holds {
        descriptors: figures::descriptors(pid)?,
        threads: figures::thread_count(pid)?,
    })
}

impl Found {
    /// Takes over what the clients and those who harm have counted.
    fn take(&mut self, load: &Load, done: &Done) {
        self.requests = load.seen.borrow().len() as u64;
        self.tally = load.tally.take();
        self.told = load.told.get();
        self.broken = load.broken.get();
        self.discards = load.discards.get();
        self.deaths = load.deaths.get();
        self.killed = load.killed.get();
        self.longest = load.longest.get();
        self.accepted = done.accepted.get();
        self.rejected = done.rejected.get();
        self.signals = done.signals.get();
        self.kills = done.kills.get();
        let places = load.places.borrow();
        self.places = places.met();
        self.vast = places.vast();
    }
}
