//! What is done to the proxy and its providers while clients ask. Each kind
//! goes its own way, so that several come together. What asks one process for
//! something in several steps shares [`Kin::alone`] meanwhile, so that no
//! other one takes its place.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use standin::mock::roll;
use tokio::process::Command;
use tokio::time::{Instant, sleep, sleep_until};

use super::admin::Admin;
use super::cast::Provider;
use super::kin::Kin;
use super::load::Load;
use super::names::Names;
use super::place::Place;
use crate::figures;

/// What is not noticed or does not heal within this time does neither.
const PATIENCE: Duration = Duration::from_secs(10);
/// Below the size at which the journal begins another segment.
const SEGMENT: u64 = (8 << 20) - 4096;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The process under test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) admin: std::net::SocketAddr,
    pub(super) pid: u32,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) accepted: Cell<u64>,
    pub(super) rejected: Cell<u64>,
    pub(super) signals: Cell<u64>,
    pub(super) kills: Cell<u64>,
    pub(super) full: Cell<u64>,
    pub(super) names: Cell<u64>,
}

fn one_more(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// Times that depend on the seed.
pub(super) struct Dice {
    seed: u64,
    turn: u64,
}

impl Dice {
    pub(super) fn new(seed: u64, kind: u64) -> Self {
        Self {
            seed: roll(seed, kind),
            turn: 0,
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.turn += 1;
        roll(self.seed, self.turn)
    }

    /// Sleeps so many milliseconds, but not beyond the end; whether there is
    /// time left.
    pub(super) async fn pause(&mut self, millis: std::ops::Range<u64>, end: Instant) -> bool {
        let span = millis.end.saturating_sub(millis.start).max(1);
        let time = Duration::from_millis(millis.start + self.next() % span);
        sleep_until((Instant::now() + time).min(end)).await;
        Instant::now() < end
    }
}

/// Kills a provider and starts it again.
pub(super) async fn kills(
    load: &Load,
    done: &Done,
    mortal: &mut Provider,
    end: Instant,
) -> Result<(), String> {
    let mut dice = Dice::new(load.seed, 1);
    while dice.pause(1000..5000, end).await {
        load.note("mortal is killed");
        mortal.kill().await?;
        one_more(&done.kills);
        dice.pause(50..3000, end).await;
        mortal.revive().await?;
        load.note("mortal is back");
    }
    Ok(())
}

/// Swaps the configuration, or tries to.
pub(super) async fn reloads(
    load: &Load,
    done: &Done,
    place: &Place,
    kin: &Kin,
    end: Instant,
) -> Result<(), String> {
    let mut dice = Dice::new(load.seed, 2);
    while dice.pause(100..1200, end).await {
        let _shared = kin.alone.read().await;
        let target = kin.target.get();
        let mut admin = Admin::of(target.admin);
        let number = load.tried.get() + 1;
        let is_wrong = dice.next().is_multiple_of(4);
        let by_signal = dice.next().is_multiple_of(2);
        let yaml = match is_wrong {
            true => place.wrong(dice.next()),
            false => {
                load.tried.set(number);
                place.yaml(number)
            }
        };
        load.note(format!("reload, wrong: {is_wrong}, by signal: {by_signal}"));
        let began = load.began.elapsed();
        place.write(&yaml)?;
        let accepted = match by_signal {
            true => {
                one_more(&done.signals);
                signalled(&mut admin, target).await?
            }
            false => Some(admin.reload().await? == 200),
        };
        match (accepted, is_wrong) {
            (Some(true), false) => {
                load.serving.set(number);
                one_more(&done.accepted);
            }
            (Some(false), true) => one_more(&done.rejected),
            (Some(_), _) => {
                load.violated(
                    began,
                    &format!("this configuration is judged wrongly:\n{yaml}"),
                );
                return Ok(());
            }
            (None, _) => {
                load.violated(began, "a signal to reload does nothing");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Reloads by signal; whether it was accepted, where anything was done.
async fn signalled(admin: &mut Admin, target: Target) -> Result<Option<bool>, String> {
    const NAME: &str = "standin_config_reloads_total";
    let all = admin.metric(NAME, "").await?;
    let accepted = admin.metric(NAME, "\"accepted\"").await?;
    figures::signal(target.pid, Signal::SIGHUP)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if admin.metric(NAME, "").await? > all {
            let now = admin.metric(NAME, "\"accepted\"").await?;
            return Ok(Some(now > accepted));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// Whether this machine has what changes the limits of a running process.
pub(super) async fn has_limits() -> bool {
    let asked = Command::new("prlimit").arg("--version").output().await;
    asked.is_ok_and(|out| out.status.success())
}

/// Sets how long the process's files may be.
async fn limit(pid: u32, bytes: &str) -> Result<(), String> {
    let mut prlimit = Command::new("prlimit");
    let limit = format!("--fsize={bytes}:");
    let set = prlimit
        .args(["--pid", &pid.to_string(), &limit])
        .status()
        .await;
    let set = set.map_err(|error| format!("prlimit: {error}"))?;
    set.success()
        .then_some(())
        .ok_or_else(|| format!("prlimit {limit}: {set}"))
}

/// Fills the disk, as far as the process can tell: none of its files may grow
/// beyond a size that the journal has already, or reaches within a record.
pub(super) async fn disk(
    load: &Load,
    done: &Done,
    place: &Place,
    kin: &Kin,
    has_limits: bool,
    end: Instant,
) -> Result<(), String> {
    if !has_limits {
        return Ok(());
    }
    let mut dice = Dice::new(load.seed, 3);
    let trouble = ["standin_ledger_trouble", "\"journal\""];
    while dice.pause(2000..8000, end).await {
        // What is lost is only known as long as the process can be asked: it
        // is not upgraded before it can write again.
        let _shared = kin.alone.read().await;
        let target = kin.target.get();
        let mut admin = Admin::of(target.admin);
        let size = match dice.next() % 3 {
            0 => 0,
            _ => (journal(place)? + dice.next() % 3000).min(SEGMENT),
        };
        load.note(format!("the disk is full: no file beyond {size} bytes"));
        let began = load.began.elapsed();
        limit(target.pid, &size.to_string()).await?;
        one_more(&done.full);
        let noticed = sees(&mut admin, trouble, 1).await?;
        // At times for longer than records can wait.
        let time = match dice.next() % 4 {
            0 => 3000..12_000,
            _ => 200..3000,
        };
        dice.pause(time, end).await;
        limit(target.pid, "unlimited").await?;
        load.note("the disk has room again");
        if !noticed {
            load.violated(began, "the ledger does not tell that it cannot be written");
        }
        if !sees(&mut admin, trouble, 0).await? {
            load.violated(began, "the ledger is not written again");
        }
    }
    Ok(())
}

async fn sees(admin: &mut Admin, [name, label]: [&str; 2], value: u64) -> Result<bool, String> {
    let until = Instant::now() + PATIENCE;
    while admin.metric(name, label).await? != value {
        if Instant::now() > until {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    Ok(true)
}

/// How long the journal's newest segment is.
fn journal(place: &Place) -> Result<u64, String> {
    let mut folder = place.ledger().into_os_string();
    folder.push(".journal");
    let tell = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut newest = None;
    for file in std::fs::read_dir(&folder).map_err(tell)? {
        let file = file.map_err(tell)?;
        let name = file.file_name();
        if name.as_encoded_bytes().ends_with(b".frames") {
            // One that is gone meanwhile was not the newest.
            let length = file.metadata().map_or(0, |data| data.len());
            newest = newest.max(Some((name, length)));
        }
    }
    Ok(newest.map_or(0, |(_, length)| length))
}

/// Gives host names other addresses.
pub(super) async fn names(
    load: &Load,
    done: &Done,
    names: &mut Option<Names>,
    end: Instant,
) -> Result<(), String> {
    let Some(names) = names else {
        return Ok(());
    };
    let mut dice = Dice::new(load.seed, 4);
    while dice.pause(500..3000, end).await {
        let told = names.change(false)?;
        load.note(format!("addresses:{told}"));
        one_more(&done.names);
    }
    names.change(true).map(drop)
}

/// Asks `/healthz` again and again; the longest it took.
pub(super) async fn healthz(
    load: &Rc<Load>,
    kin: &Kin,
    longest: &Cell<Duration>,
    end: Instant,
) -> Result<(), String> {
    const BOUND: Duration = Duration::from_secs(5);
    let mut admin = Admin::of(kin.target.get().admin);
    while Instant::now() < end {
        let began = load.began.elapsed();
        let asked = admin.get("/healthz").await;
        let took = load.began.elapsed().saturating_sub(began);
        longest.set(longest.get().max(took));
        match asked {
            Ok(answer) if answer.status == 200 && took <= BOUND => {}
            Ok(answer) => {
                let what = format!("/healthz: {} after {took:?}", answer.status);
                load.violated(began, &what);
            }
            Err(why) => load.violated(began, &why),
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
