//! Standin hands over to a new process of itself, again and again; at times
//! the new one is of no use, and the old one serves on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::admin::{Admin, sum};
use super::harm::{Dice, Target};
use super::kin::{Kin, Process};
use super::load::{Epoch, Load};
use super::place::Place;
use crate::figures;
use crate::tally::Memory;

/// How long a step may take on a slow machine.
const STEP: Duration = Duration::from_secs(30);
/// What a stopped process has said is heard within this time.
const HEARD: Duration = Duration::from_secs(1);
/// How long whatever the clients have begun takes, and a slow machine.
const DRAIN: Duration = Duration::from_secs(30);
/// At so young an age a process's memory is looked at, at most.
pub(super) const WARM: Duration = Duration::from_secs(20);

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Upgrades {
    pub(super) done: Cell<u64>,
    /// Asked of the old one before the new one was started, done or not.
    pub(super) old_first: Cell<u64>,
    /// New ones with a configuration that is wrong, …
    pub(super) wrong: Cell<u64>,
    /// … those that were killed, …
    pub(super) killed: Cell<u64>,
    /// … and of these, those that had begun to accept.
    pub(super) accepting: Cell<u64>,
    /// Requests that one of them may have counted and told nobody.
    pub(super) unknown: Cell<u64>,
    /// What the old ones counted, lost, and found damaged.
    pub(super) counted: Cell<u64>,
    pub(super) lost: Cell<u64>,
    pub(super) damaged: Cell<u64>,
    /// From the new one's start until it served, and until the old one had ended.
    pub(super) longest: Cell<Duration>,
    pub(super) longest_end: Cell<Duration>,
    /// Each old one's, when it had left.
    pub(super) memories: RefCell<Vec<Memory>>,
    pub(super) farewells: RefCell<JoinSet<()>>,
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}

fn longer(longest: &Cell<Duration>, time: Duration) {
    longest.set(longest.get().max(time));
}

/// All that an upgrade concerns.
pub(super) struct Stage<'a> {
    pub(super) load: &'a Rc<Load>,
    pub(super) kin: &'a Kin,
    pub(super) place: &'a Place,
    pub(super) upgrades: &'a Rc<Upgrades>,
    /// Of the process that serves.
    pub(super) memory: &'a RefCell<Memory>,
    pub(super) command: &'a dyn Fn() -> tokio::process::Command,
}

/// Upgrades it now and then, three times in a minute or more, at least every
/// minute or so.
pub(super) async fn upgrades(
    stage: &Stage<'_>,
    time: Duration,
    end: Instant,
) -> Result<(), String> {
    let mut dice = Dice::new(stage.load.seed, 5);
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let pause = (millis / 10).min(40_000)..(millis / 6).min(80_000);
    while dice.pause(pause.clone(), end).await {
        turn(stage, &mut dice).await?;
    }
    // The dice, or a disk that was full for long, may have left too few.
    while stage.upgrades.done.get() < (millis / 20_000).min(3) {
        turn(stage, &mut dice).await?;
    }
    Ok(())
}

/// One upgrade, at times after one that is of no use.
async fn turn(stage: &Stage<'_>, dice: &mut Dice) -> Result<(), String> {
    let _alone = stage.kin.alone.write().await;
    let load = stage.load;
    let began = load.began.elapsed();
    // A reload may have left a wrong one there.
    stage.place.write(&stage.place.yaml(load.serving.get()))?;
    let done = match dice.next() % 4 {
        0 => wrong(stage, dice).await,
        1 | 2 => killed(stage, dice).await,
        _ => Ok(None),
    };
    let heir = match done? {
        Some((heir, before)) => (heir, before),
        None => begin(stage, dice, false).await?,
    };
    if let Err(why) = hand_over(stage, began, heir).await {
        load.violated(began, &why);
        return Err(why);
    }
    Ok(())
}

type Heir = (Process, Figures);

/// Starts a new one and tells the old one, in either order.
async fn begin(stage: &Stage<'_>, dice: &mut Dice, is_wrong: bool) -> Result<Heir, String> {
    let old = stage.kin.current();
    let before = figures_of(stage.load, stage.kin.target.get()).await?;
    let path = match is_wrong {
        true => stage.place.write_wrong(dice.next())?,
        false => stage.place.config(),
    };
    let spawn = || Process::spawn((stage.command)(), &path, true);
    let gap = Duration::from_millis(dice.next() % 400);
    let heir = match dice.next().is_multiple_of(2) {
        true => {
            stage.load.note("upgrade: SIGQUIT, then a new process");
            old.signal(Signal::SIGQUIT)?;
            sleep(gap).await;
            add(&stage.upgrades.old_first, u64::from(!is_wrong));
            spawn()?
        }
        false => {
            stage.load.note("upgrade: a new process, then SIGQUIT");
            let heir = spawn()?;
            sleep(gap).await;
            old.signal(Signal::SIGQUIT)?;
            heir
        }
    };
    Ok((heir, before))
}

/// One whose configuration is wrong. The old one goes on waiting for another.
async fn wrong(stage: &Stage<'_>, dice: &mut Dice) -> Result<Option<Heir>, String> {
    let began = stage.load.began.elapsed();
    stage.load.note("upgrade: the configuration is wrong");
    let (heir, _) = begin(stage, dice, true).await?;
    let ended = heir.end(STEP).await;
    if ended.and_then(|status| status.code()) != Some(2) {
        let what = format!(
            "a new process with a wrong configuration: {ended:?}\n      {}",
            heir.told.last()
        );
        stage.load.violated(began, &what);
    }
    add(&stage.upgrades.wrong, 1);
    Ok(None)
}

/// One that is killed, at some moment; that one, where it serves by then.
async fn killed(stage: &Stage<'_>, dice: &mut Dice) -> Result<Option<Heir>, String> {
    let (load, old) = (stage.load, stage.kin.current());
    let (refused, ended) = (old.told.refused.get(), load.ended.get());
    let began = load.began.elapsed();
    let (heir, before) = begin(stage, dice, false).await?;
    // Mostly while the two talk: from when both are there.
    sleep(Duration::from_micros(dice.next() % 60_000)).await;
    // It says nothing more, and what it has said is heard.
    heir.signal(Signal::SIGSTOP)?;
    if old.until(HEARD, |told| told.left.get()).await {
        load.note("upgrade: too late to kill the new process");
        heir.signal(Signal::SIGCONT)?;
        return Ok(Some((heir, before)));
    }
    load.note("upgrade: the new process is killed");
    let gone = load.gone.get();
    let unknown = load.ended.get() - ended;
    load.heir_killed.set(Some(load.began.elapsed()));
    heir.signal(Signal::SIGKILL)?;
    if heir.end(STEP).await.is_none() {
        load.violated(began, "a killed process does not end");
    }
    // Who was with it has seen that by now.
    sleep(HEARD / 4).await;
    load.heir_killed.set(None);
    let gone = load.gone.get() - gone;
    add(&stage.upgrades.killed, 1);
    if heir.told.started.get() {
        add(&stage.upgrades.accepting, 1);
        add(&stage.upgrades.unknown, unknown + gone);
    } else if gone > 0 {
        load.violated(
            began,
            "requests are gone with a new process that did not accept",
        );
    }
    let is_told = |_: &super::kin::Told| old.told.refused.get() > refused;
    if old.told.found.get() == Some(heir.pid) && !old.until(STEP, is_told).await {
        let what = format!(
            "the old process does not say that an upgrade was not done\n      {}",
            old.told.last()
        );
        load.violated(began, &what);
    }
    Ok(None)
}

/// Waits until the new one serves and the old one does not.
async fn hand_over(stage: &Stage<'_>, began: Duration, (heir, before): Heir) -> Result<(), String> {
    let (load, old) = (stage.load, stage.kin.current());
    let (listen, target) = heir.serving(STEP).await?;
    if !old.until(STEP, |told| told.left.get()).await {
        return Err(format!(
            "the old process does not leave\n      {}",
            old.told.last()
        ));
    }
    if (listen, target.admin) != (load.listen.get(), stage.kin.target.get().admin) {
        return Err(format!(
            "the new process is at {listen} and {}",
            target.admin
        ));
    }
    load.note("upgrade: the new process serves");
    longer(&stage.upgrades.longest, heir.began.elapsed());
    let mut memory = stage.memory.borrow_mut();
    memory.end = figures::memory(old.pid)?;
    let start = figures::memory(target.pid)?;
    let memory = std::mem::replace(
        &mut *memory,
        Memory {
            start,
            ..Memory::default()
        },
    );
    stage.upgrades.memories.borrow_mut().push(memory);
    let epoch = load.next_epoch();
    stage.kin.follow(heir, target);
    add(&stage.upgrades.done, 1);
    let farewell = farewell(
        Rc::clone(load),
        Rc::clone(stage.upgrades),
        old,
        began,
        epoch,
        before,
    );
    stage.upgrades.farewells.borrow_mut().spawn_local(farewell);
    Ok(())
}

/// What a process says before it may be the old one, and how many requests had
/// ended by then. Its disk has room, so that nothing more is lost.
struct Figures {
    counted: u64,
    lost: u64,
    damaged: u64,
    ended: u64,
}

async fn figures_of(load: &Load, target: Target) -> Result<Figures, String> {
    let ended = load.ended.get();
    let answer = Admin::of(target.admin).get("/metrics").await?;
    let text = String::from_utf8_lossy(&answer.body);
    let of = |name| sum(&text, name, "");
    Ok(Figures {
        counted: of("standin_requests_total"),
        lost: of("standin_ledger_lost_total"),
        damaged: of("standin_ledger_damaged_total"),
        ended,
    })
}

/// Waits until no client is with the old one, and until it has ended. What it
/// has counted since it was asked is not known.
async fn farewell(
    load: Rc<Load>,
    upgrades: Rc<Upgrades>,
    old: Process,
    began: Duration,
    epoch: Rc<Epoch>,
    before: Figures,
) {
    let left = Instant::now();
    while Rc::strong_count(&epoch) > 1 && left.elapsed() < DRAIN {
        sleep(Duration::from_millis(20)).await;
    }
    add(&upgrades.counted, before.counted);
    add(&upgrades.unknown, load.ended.get() - before.ended);
    add(&upgrades.lost, before.lost);
    add(&upgrades.damaged, before.damaged);
    let ended = old.end(DRAIN.saturating_sub(left.elapsed())).await;
    longer(&upgrades.longest_end, left.elapsed());
    match ended {
        Some(status) if status.success() => load.note("upgrade: the old process has ended"),
        Some(_) | None => {
            let what = format!(
                "the old process, {DRAIN:?} after it has left: {ended:?}\n      {}",
                old.told.last()
            );
            load.violated(began, &what);
        }
    }
    for line in old.wrong() {
        load.violated(began, &line);
    }
}
