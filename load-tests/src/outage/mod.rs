//! `outage`: the first provider dies under load and comes back, once by
//! refusing connections and once by never answering.

mod judge;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::ask::Ask;
use crate::crowd::{Crowd, Sample};
use crate::print;
use crate::scene::{BACKUP, COOLDOWN, MAX_COOLDOWN, OUTAGE, PRIMARY, TIMEOUT};
use crate::stage::Stage;
use crate::status::Watch;
use crate::table::verdict;
use judge::Found;

/// Answers by the primary before it dies and once it is back.
const STEADY: usize = 500;
/// How long it stays dead once its breaker is open: time for failed probes,
/// whose cool-downs double.
const DEAD: Duration = COOLDOWN.saturating_mul(5);
/// What does not happen within this time does not happen: far more than a
/// timeout or a cool-down.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) connections: usize,
    pub(crate) seed: u64,
}

/// A way to die.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    /// What the mock process is told.
    dies: &'static str,
    returns: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        name: "connections refused",
        dies: "close primary",
        returns: "open primary well",
    },
    Way {
        name: "accepted, never answered",
        dies: "play primary hangs",
        returns: "play primary well",
    },
];

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    let mut stage = Stage::start(OUTAGE, options.seed, &standin).await?;
    let mut violations = Vec::new();
    for way in WAYS {
        let found = LocalSet::new()
            .run_until(observe(options, &mut stage, way))
            .await?;
        print(&format!("{}\n\n{}\n", found.timeline(), found.table()))?;
        let found = found.violations().into_iter();
        violations.extend(found.map(|what| format!("{}: {what}", way.name)));
    }
    stage.end().await?;
    verdict(violations)
}

async fn observe(options: &Options, stage: &mut Stage, way: Way) -> Result<Found, String> {
    let seed = options.seed;
    let mut crowd = Crowd::new(stage.listen, move |number| {
        Ask::drawn(seed, number, vec![PRIMARY.to_owned(), BACKUP.to_owned()])
    });
    let looks = Rc::new(RefCell::default());
    let watch = || Watch::new(stage.admin, "primary", crowd.began());
    let (mut status, notes) = (watch(), watch().note(Rc::clone(&looks)));
    let notes = spawn_local(notes);
    let served = |sample: &Sample| sample.walk().is_some_and(|walk| walk.is_served_by(PRIMARY));

    crowd.start(options.connections);
    if !crowd.sees(STEADY, served, PATIENCE).await {
        return Err(format!(
            "{}: the primary does not answer at first",
            way.name
        ));
    }
    let killed = crowd.now();
    stage.tell(way.dies).await?;
    let dead = crowd.now();
    // Where it never opens the judge will say so; it is dead as long.
    let opened = status.until(|view| view.is_out(), 3 * TIMEOUT).await;
    sleep(DEAD).await;
    stage.tell(way.returns).await?;
    let revived = crowd.now();
    let is_back = crowd.sees(STEADY, served, PATIENCE).await;
    let healthy = status.until(|view| view.is_healthy(), PATIENCE).await;
    crowd.stop().await;
    notes.abort();
    Ok(Found {
        way: way.name,
        connections: options.connections,
        killed,
        dead,
        revived,
        is_back,
        status: opened.and(healthy).err(),
        looks: looks.take(),
        samples: crowd.take(),
    })
}

/// How many probes a breaker that opened so long ago may have sent: one after
/// each cool-down, the next of which begins when that probe has failed.
fn probes(since_open: Duration) -> usize {
    let mut cooldown = COOLDOWN;
    let mut passed = COOLDOWN;
    let mut probes = 0;
    while passed <= since_open {
        probes += 1;
        cooldown = (cooldown * 2).min(MAX_COOLDOWN);
        passed += cooldown;
    }
    probes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_due_after_each_cool_down() {
        let after = |seconds| probes(Duration::from_millis(seconds));
        assert_eq!(
            [999, 1000, 2999, 3000, 6999, 7000, 11_000].map(after),
            [0, 1, 1, 2, 2, 3, 4]
        );
    }
}
