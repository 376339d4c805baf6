//! `skip`: what a request costs whose first candidate is passed over, beside
//! one that names only the second.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::ask::{Ask, Kind};
use crate::crowd::{Crowd, Sample, wrong};
use crate::rounds::{Side, count, requests_in};
use crate::scene::{BACKUP, LIVE, PRIMARY};
use crate::stage::Stage;
use crate::table::{Table, verdict};
use crate::{figures, print, say};

/// How much more the skip may cost.
const BOUND: f64 = 1.05;
/// Bodies, in bytes.
const SIZES: [usize; 2] = [2 << 10, 32 << 10];
/// Requests before anything is measured: pools are warm, and the primary is
/// known to be limited …
const WARM: u64 = 5_000;
/// … for longer than the run takes.
const LIMIT: Duration = Duration::from_secs(3600);

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) connections: usize,
    /// For each side and size.
    pub(crate) rounds: usize,
    /// Processor time of the proxy in each round.
    pub(crate) seconds: f64,
}

/// Both, for one size of body.
#[derive(Debug)]
struct Found {
    bytes: usize,
    /// Requests in each round.
    requests: u64,
    /// The first candidate is skipped, …
    skips: Side,
    /// … or not named at all.
    names: Side,
    /// Seconds of processor time that each side has taken in all.
    taken: f64,
    /// Resident memory of the proxy afterwards, in KiB.
    memory: u64,
    /// Wrong answers and wrong walks.
    wrong: Vec<String>,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    if options.rounds == 0 {
        return Err("there must be a round".to_owned());
    }
    let mut stage = Stage::start(LIVE, 1, &standin).await?;
    let limited = format!("play primary limited {}", LIMIT.as_secs());
    stage.tell(&limited).await?;
    let mut violations = Vec::new();
    for bytes in SIZES {
        let found = LocalSet::new()
            .run_until(measure(options, &stage, bytes))
            .await?;
        print(&format!("{}\n", found.table()))?;
        violations.extend(found.violations());
    }
    stage.end().await?;
    verdict(violations)
}

async fn measure(options: &Options, stage: &Stage, bytes: usize) -> Result<Found, String> {
    let crowd = |candidates: &'static [&'static str]| {
        Crowd::new(stage.listen, move |number| {
            Ask::sized(number, Kind::Chat, candidates, bytes)
        })
    };
    // The same clients and the same proxy, one list longer than the other.
    let mut skips = crowd(&[PRIMARY, BACKUP]);
    let mut names = crowd(&[BACKUP]);
    let connections = options.connections;
    skips.send(1, 1).await;
    names.send(WARM, connections).await;
    let before = figures::processor(stage.pid)?;
    skips.send(WARM, connections).await;
    let each = (figures::processor(stage.pid)? - before) / count(WARM);
    let requests = requests_in(options.seconds, each);
    say(&format!("{bytes} bytes: {requests} requests a round"));
    // The first of all finds out that the primary is limited; what is wrong
    // with the others shows again below.
    drop(skips.take());
    drop(names.take());

    let mut found = Found {
        bytes,
        requests,
        skips: Side::default(),
        names: Side::default(),
        taken: 0.0,
        memory: 0,
        wrong: Vec::new(),
    };
    for number in 0..options.rounds {
        // Each side goes first as often as the other.
        let mut costs = [0.0; 2];
        for side in [number % 2, (number + 1) % 2] {
            let crowd = if side == 0 { &mut skips } else { &mut names };
            costs[side] = round(crowd, stage.pid, connections, requests, &mut found.wrong).await?;
        }
        found.skips.0.push(costs[0]);
        found.names.0.push(costs[1]);
        if !found.wrong.is_empty() {
            break;
        }
    }
    found.taken = found.skips.0.iter().sum::<f64>() * count(requests) / 1e6;
    found.memory = figures::memory(stage.pid)?;
    Ok(found)
}

/// One round; what each request has cost, in microseconds.
async fn round(
    crowd: &mut Crowd,
    pid: u32,
    connections: usize,
    requests: u64,
    violations: &mut Vec<String>,
) -> Result<f64, String> {
    let before = figures::threads(pid)?;
    crowd.send(requests, connections).await;
    let used = figures::threads(pid)?.saturating_sub(before);
    let samples = crowd.take();
    violations.extend(wrong(samples.iter()));
    let walks = samples.iter().filter_map(Sample::walk);
    let more = walks.filter(|walk| walk.attempts().count() > 1).count();
    if more > 0 {
        let what = "requests of which the first candidate was not passed over";
        violations.push(format!("{more} {what}"));
    }
    Ok(used.as_secs_f64() * 1e6 / count(requests))
}

impl Found {
    /// Of each pair of neighbouring rounds: what else the machine has to do
    /// weighs on both.
    fn ratios(&self) -> Side {
        self.skips.beside(&self.names, |skips, names| skips / names)
    }

    fn violations(&self) -> Vec<String> {
        let mut found = self.wrong.clone();
        let ratio = self.ratios().median();
        // Also false where it is no number.
        let within = ratio <= BOUND;
        if !within {
            found.push(format!(
                "{} bytes: passing the first candidate over costs {ratio:.3} times as much, not {BOUND} at most",
                self.bytes
            ));
        }
        found
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row("body", format!("{} bytes", self.bytes));
        table.row("rounds of each, in turn", self.skips.0.len());
        table.row("requests in each", self.requests);
        table.row("CPU in all, first skipped", format!("{:.1} s", self.taken));
        table.row("CPU a request in us, first skipped", &self.skips);
        table.row("CPU a request in us, second alone", &self.names);
        let medians = self.skips.median() / self.names.median();
        table.row("ratio of the medians", format!("{medians:.3}"));
        table.row("ratio in each pair of rounds", self.ratios());
        table.row("RSS of standin", format!("{} KiB", self.memory));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(skips: &[f64], names: &[f64]) -> Found {
        Found {
            bytes: 2048,
            requests: 1,
            skips: Side(skips.into()),
            names: Side(names.into()),
            taken: 3.0,
            memory: 1,
            wrong: Vec::new(),
        }
    }

    #[test]
    fn the_medians_decide_and_not_the_outliers() {
        let names = [20.0, 40.0, 10.0];
        assert!(found(&[20.9, 42.0, 90.0], &names).violations().is_empty());
        assert_eq!(found(&[21.1, 42.1, 1.0], &names).violations().len(), 1);
    }

    #[test]
    fn nothing_measured_is_no_success() {
        assert_eq!(found(&[], &[]).violations().len(), 1);
        assert_eq!(found(&[0.0], &[0.0]).violations().len(), 1);
    }
}
