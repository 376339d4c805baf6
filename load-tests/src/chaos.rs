//! The run: clients that ask, and a look at the proxy while they do.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, interval, timeout};

use crate::ask::Ask;
use crate::client::Client;
use crate::modes::Repertoire;
use crate::stage::Stage;
use crate::tally::{Memory, Report, Tally};
use crate::{figures, print, say, scene};

/// Between two looks at the proxy's memory.
const LOOK: Duration = Duration::from_millis(50);
/// After so many violations the run has shown what it can.
const ENOUGH: u64 = 100;

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    pub(crate) seed: u64,
    /// Whether failing providers are remembered, as they are outside of this
    /// test, instead of being asked again and again.
    pub(crate) live_state: bool,
    /// For the whole run.
    pub(crate) deadline: Duration,
    pub(crate) json: bool,
}

/// What the workers share; they all run on one thread.
struct Run {
    seed: u64,
    /// How many names each failing provider goes by.
    homes: u64,
    requests: u64,
    listen: SocketAddr,
    next: Cell<u64>,
    tally: RefCell<Tally>,
    shaky: Repertoire,
    flaky: Repertoire,
}

/// Runs, prints the table and fails where anything was not right.
pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    let scene = match options.live_state {
        true => scene::CHAOS_LIVE,
        false => scene::CHAOS,
    };
    let mut stage = Stage::start(scene, options.seed, &standin).await?;
    let work = timeout(options.deadline, measure(options, stage.listen, stage.pid));
    let report = tokio::select! {
        report = work => {
            let late = |_| format!("not done within {:?}", options.deadline);
            report.map_err(late)??
        }
        why = stage.ended() => return Err(why),
    };
    stage.end().await?;
    print(&match options.json {
        true => report.json().to_string(),
        false => report.table(),
    })?;
    let skew = skew(&report.tally, options.live_state);
    let mut wrong = report.tally.described;
    wrong.extend(skew);
    wrong.extend(report.memory.grows());
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}

async fn measure(options: &Options, listen: SocketAddr, pid: u32) -> Result<Report, String> {
    let run = Rc::new(Run {
        seed: options.seed,
        homes: match options.live_state {
            true => 1,
            false => scene::HOMES,
        },
        requests: options.requests,
        listen,
        next: Cell::new(0),
        tally: RefCell::default(),
        shaky: Repertoire::new(options.seed, "shaky"),
        flaky: Repertoire::new(options.seed, "flaky"),
    });
    let began = Instant::now();
    let start = figures::memory(pid)?;
    let used = figures::processor(pid)?;
    let mut memory = Memory {
        start,
        peak: start,
        ..Memory::default()
    };
    let local = LocalSet::new();
    let mut workers = JoinSet::new();
    for _ in 0..options.connections {
        workers.spawn_local_on(work(Rc::clone(&run)), &local);
    }
    let watch = async {
        let mut looks = interval(LOOK);
        let mut told = 0;
        loop {
            tokio::select! {
                done = workers.join_next() => match done {
                    None => return Ok::<(), String>(()),
                    Some(done) => done.map_err(|error| format!("a client: {error}"))?,
                },
                _ = looks.tick() => {
                    let now = figures::memory(pid)?;
                    memory.peak = memory.peak.max(now);
                    let done = run.tally.borrow().done();
                    let tenths = done * 10 / run.requests.max(1);
                    if memory.warm == 0 && tenths > 0 {
                        memory.warm = now;
                    }
                    if !options.json && tenths > told {
                        told = tenths;
                        say(&format!("{}0 %: {done} requests, {now} KiB", tenths));
                    }
                }
            }
        }
    };
    local.run_until(watch).await?;
    memory.end = figures::memory(pid)?;
    memory.peak = memory.peak.max(memory.end);
    if memory.warm == 0 {
        // Over before it was looked at: there is nothing to compare.
        memory.warm = memory.end;
    }
    Ok(Report {
        seed: options.seed,
        connections: options.connections,
        tally: run.tally.take(),
        wall: began.elapsed(),
        processor: figures::processor(pid)? - used,
        memory,
    })
}

/// One client: one request after the other.
async fn work(run: Rc<Run>) {
    let mut client = Client::of(run.listen);
    while run.next.get() < run.requests && run.tally.borrow().wrong < ENOUGH {
        let number = run.next.get();
        run.next.set(number + 1);
        let ask = Ask::chaos(run.seed, number, run.homes);
        let asked = client.ask(&ask).await;
        match asked {
            Ok(walk) => run.tally.borrow_mut().answered(&walk),
            Err(why) => {
                let described = run.describe(&ask, &why);
                run.tally.borrow_mut().violated(described);
            }
        }
    }
}

/// What a run has tested instead of what it is for: with live state most
/// failing candidates are passed over, without it most are asked.
fn skew(tally: &Tally, live_state: bool) -> Option<String> {
    let (failed, skipped) = (tally.failed_attempts(), tally.skipped());
    let right = match live_state {
        true => skipped > failed,
        false => skipped < failed / 4,
    };
    (!right).then(|| {
        let what = match live_state {
            true => "dead candidates are asked again and again",
            false => "too few candidates were asked to test failing over",
        };
        format!("{failed} failed attempts and {skipped} skips: {what}")
    })
}

impl Run {
    fn describe(&self, ask: &Ask, why: &str) -> String {
        let mode = |repertoire: &Repertoire| {
            let drawn = repertoire.draw(self.seed, ask.number);
            drawn.map_or("nothing", |(mode, _)| *mode)
        };
        format!(
            "request {} of seed {} ({:?}, {:?}; shaky plays {:?}, flaky plays {:?}): {why}",
            ask.number,
            self.seed,
            ask.kind,
            ask.candidates,
            mode(&self.shaky),
            mode(&self.flaky),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Walk;

    fn tally(failed: u64, skipped: u64) -> Tally {
        let mut tally = Tally::default();
        for (times, walk) in [(failed, "a=503, c=200"), (skipped, "a=skipped:open, c=200")] {
            for _ in 0..times {
                tally.answered(&Walk::read(walk).unwrap());
            }
        }
        tally
    }

    #[test]
    fn each_way_of_running_must_test_what_it_is_for() {
        assert_eq!(skew(&tally(100, 10), false), None);
        assert!(skew(&tally(100, 60), false).is_some());
        assert_eq!(skew(&tally(10, 100), true), None);
        assert!(skew(&tally(100, 0), true).is_some());
    }
}
