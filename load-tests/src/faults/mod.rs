//! `faults`: everything goes wrong at once under load, for as long as one
//! likes, and every request is answered all the same, or visibly cut.

mod admin;
mod after;
mod books;
mod cast;
mod cut;
mod deaths;
mod harm;
mod load;
mod names;
mod place;
mod report;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use cut::{CUT, Cut};

use self::after::{heal, settle};
use self::books::Books;
use self::cast::Cast;
use self::harm::{Done, Target};
use self::load::Load;
use self::names::Names;
use self::place::Place;
use self::report::{Found, Holds};
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
    /// Starts standin with the configuration that is there.
    async fn proxy(&self) -> Result<Proxy, String> {
        let path = self.place.config();
        match &self.names {
            Some(names) => Proxy::start_by(names.before(&self.standin), &path).await,
            None => Proxy::start_at(&self.standin, &path).await,
        }
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
    let mut proxy = scene.proxy().await?;
    let target = Target {
        admin: proxy.admin,
        pid: proxy.pid,
    };
    let load = Rc::new(Load::new(options.seed, proxy.listen));
    let mut found = Found::default();
    let mut wrong = Vec::new();
    let done = Done::default();
    let work = work(
        options, &load, &done, &mut scene, &mut cast, target, &mut found,
    );
    let worked = tokio::select! {
        worked = work => worked,
        ended = watch(&mut proxy, &mut wrong) => Err(format!("standin ended: {ended:?}")),
    };
    if let Err(why) = worked {
        // Where it has died, that is what there is to say.
        return match timeout(Duration::from_secs(1), watch(&mut proxy, &mut wrong)).await {
            Ok(ended) => Err(format!("standin ended: {ended:?} ({why})")),
            Err(_) => Err(why),
        };
    }
    // Nothing keeps a connection any more but standin itself.
    let quiet = async {
        cast.end().await?;
        let until = Instant::now() + LET_GO;
        loop {
            found.end = holds(target.pid)?;
            if found.end.is_as_before(found.start) || Instant::now() > until {
                return Ok::<(), String>(());
            }
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        quiet = quiet => quiet?,
        ended = watch(&mut proxy, &mut wrong) => return Err(format!("standin ended: {ended:?}")),
    }
    end(&mut proxy, &mut wrong).await?;
    found.books = Books::of(&scene.place.ledger(), &load.seen.borrow())?;
    found.wrong.extend(wrong);
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
    target: Target,
    found: &mut Found,
) -> Result<(), String> {
    let pid = target.pid;
    found.start = holds(pid)?;
    found.memory.start = figures::memory(pid)?;
    let mut clients = JoinSet::new();
    for _ in 0..options.connections {
        clients.spawn_local(load::client(Rc::clone(load)));
    }
    let end = Instant::now() + options.time;
    let longest = Cell::new(Duration::ZERO);
    tokio::try_join!(
        harm::kills(load, done, &mut cast.mortal, end),
        harm::reloads(load, done, &scene.place, target, end),
        harm::disk(load, done, &scene.place, target, scene.has_limits, end),
        harm::names(load, done, &mut scene.names, end),
        harm::healthz(load, target, &longest, end),
        look(options, load, pid, &mut found.memory, end),
    )?;
    found.longest_healthz = longest.get();
    load.note("nobody harms any more");
    cast.calm().await?;
    found.healed = heal(load, target).await?;
    load.stop.set(true);
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|error| format!("a client: {error}"))?;
    }
    found.wall = load.began.elapsed();
    sleep(Duration::from_secs(1)).await;
    found.memory.end = figures::memory(pid)?;
    settle(load, target, found, true).await
}

/// Looks at memory, and says now and then how far it is.
async fn look(
    options: &Options,
    load: &Load,
    pid: u32,
    memory: &mut Memory,
    end: Instant,
) -> Result<(), String> {
    let mut told = 0;
    while Instant::now() < end {
        let now = figures::memory(pid)?;
        memory.peak = memory.peak.max(now);
        let tenths = load.began.elapsed().as_millis() * 10 / options.time.as_millis().max(1);
        if memory.warm == 0 && tenths > 0 {
            memory.warm = now;
        }
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
