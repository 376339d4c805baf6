//! `burst`: the first candidate is rate limited while many clients ask.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::ask::Ask;
use crate::crowd::{Crowd, Sample, wrong};
use crate::print;
use crate::scene::{BACKUP, LIVE, PRIMARY};
use crate::stage::Stage;
use crate::status::Watch;
use crate::table::{Table, verdict};

/// A probe may come so much later than the provider said …
const JITTER: Duration = Duration::from_secs(2);
/// … and the machine may be slow: after that it is not coming.
const SLACK: Duration = Duration::from_secs(10);
/// Requests for each connection once the primary is back.
const AFTERWARDS: u64 = 4;

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    pub(crate) seed: u64,
    /// How long the primary refuses, and says that it will.
    pub(crate) seconds: u64,
}

/// What came to pass.
#[derive(Debug, Default)]
struct Found {
    connections: u64,
    limit: Duration,
    /// Samples while the limit held, …
    burst: Vec<Sample>,
    /// … what the primary had seen by its end, …
    seen: u64,
    /// … samples until the primary answered again, …
    waiting: Vec<Sample>,
    /// … whether it did, …
    is_back: bool,
    /// … why `/status` does not say so too, …
    status: Option<String>,
    /// … and the samples after that.
    after: Vec<Sample>,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    let mut stage = Stage::start(LIVE, options.seed, &standin).await?;
    let found = LocalSet::new()
        .run_until(observe(options, &mut stage))
        .await?;
    stage.end().await?;
    print(&found.table().to_string())?;
    verdict(found.violations())
}

async fn observe(options: &Options, stage: &mut Stage) -> Result<Found, String> {
    let connections = options.connections;
    let limit = Duration::from_secs(options.seconds);
    stage
        .tell(&format!("play primary limited {}", options.seconds))
        .await?;
    let seed = options.seed;
    let mut crowd = Crowd::new(stage.listen, move |number| {
        Ask::drawn(seed, number, vec![PRIMARY.to_owned(), BACKUP.to_owned()])
    });
    crowd.send(options.requests, connections).await;
    let burst = crowd.take();
    // Nobody keeps a silent connection for so long.
    crowd.hang_up();
    if crowd.now() > limit {
        let done = burst.iter().filter(|sample| sample.ended < limit).count();
        return Err(format!(
            "only {done} requests fit into {limit:?}: ask for fewer or for longer"
        ));
    }
    // The primary counts from its first request on, which came before its
    // first refusal was known here.
    let first = burst
        .iter()
        .find(|sample| refused(sample))
        .map_or(Duration::ZERO, |sample| sample.ended);
    sleep((first + limit).saturating_sub(crowd.now())).await;
    let seen = stage.tell("counts primary").await?["seen"].as_u64();

    crowd.start(connections);
    let is_back = crowd.sees(1, served, JITTER + SLACK).await;
    crowd.stop().await;
    let waiting = crowd.take();
    let mut watch = Watch::new(stage.admin, "primary", crowd.began());
    let status = watch.until(|view| view.is_healthy(), SLACK).await;
    let afterwards = AFTERWARDS * u64::try_from(connections).unwrap_or(0);
    crowd.send(afterwards, connections).await;
    Ok(Found {
        connections: u64::try_from(connections).unwrap_or(u64::MAX),
        limit,
        burst,
        seen: seen.ok_or("the mock process does not say what it has seen")?,
        waiting,
        is_back,
        status: status.err(),
        after: crowd.take(),
    })
}

/// Of these samples, those whose walk is such.
fn count(samples: &[Sample], kind: impl Fn(&Sample) -> bool) -> usize {
    samples.iter().filter(|sample| kind(sample)).count()
}

fn skipped(why: &'static str) -> impl Fn(&Sample) -> bool {
    move |sample| sample.walk().and_then(|walk| walk.skip_of(PRIMARY)) == Some(why)
}

fn refused(sample: &Sample) -> bool {
    sample
        .walk()
        .is_some_and(|walk| walk.failed_at(PRIMARY) > 0)
}

fn served(sample: &Sample) -> bool {
    sample.walk().is_some_and(|walk| walk.is_served_by(PRIMARY))
}

impl Found {
    fn violations(&self) -> Vec<String> {
        let all = [&self.burst, &self.waiting, &self.after];
        let mut found = wrong(all.into_iter().flatten());
        let mut require = |right: bool, what: String| {
            if !right {
                found.push(what);
            }
        };
        require(
            (1..=self.connections).contains(&self.seen),
            format!(
                "the primary has seen {} requests while it was limited, not 1 to {}",
                self.seen, self.connections
            ),
        );
        let known = count(&self.burst, refused) + count(&self.burst, skipped("cooling"));
        require(
            known == self.burst.len(),
            format!(
                "{} walks are neither refused by the primary nor skipped:cooling",
                self.burst.len() - known
            ),
        );
        require(
            count(&self.burst, skipped("cooling")) > 0,
            "the primary was never skipped".to_owned(),
        );
        let late = count(&self.waiting, refused);
        require(
            late == 0,
            format!("{late} attempts at the primary failed after its time was over"),
        );
        require(self.is_back, "the primary never answered again".to_owned());
        if let Some(why) = &self.status {
            require(false, why.clone());
        }
        let elsewhere = self.after.len() - count(&self.after, served);
        require(
            elsewhere == 0,
            format!("{elsewhere} requests did not go to the primary once it was back"),
        );
        found
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row("connections", self.connections);
        table.row("the primary is limited for", format!("{:?}", self.limit));
        table.row("requests in that time", self.burst.len());
        table.row(
            "  the primary asked, and refusing",
            count(&self.burst, refused),
        );
        table.row("  skipped:cooling", count(&self.burst, skipped("cooling")));
        let last = self.burst.last().map_or(Duration::ZERO, |last| last.ended);
        table.row(
            "  time for all of them",
            format!("{:.1} s", last.as_secs_f64()),
        );
        table.row("requests the primary has seen then", self.seen);
        table.row("requests until it answers again", self.waiting.len());
        table.row(
            "  skipped:cooling",
            count(&self.waiting, skipped("cooling")),
        );
        table.row(
            "  skipped:probing",
            count(&self.waiting, skipped("probing")),
        );
        table.row("  answered by it", count(&self.waiting, served));
        table.row("requests after that", self.after.len());
        table.row("  answered by it", count(&self.after, served));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Walk;

    fn samples(number: usize, walk: &str) -> Vec<Sample> {
        let sample = Sample {
            number: 0,
            began: Duration::ZERO,
            ended: Duration::ZERO,
            walk: Walk::read(walk),
        };
        vec![sample; number]
    }

    fn good() -> Found {
        let skip = "primary/m=skipped:cooling, backup/m=200";
        Found {
            connections: 8,
            seen: 8,
            burst: [samples(8, "primary/m=429, backup/m=200"), samples(50, skip)].concat(),
            waiting: [samples(9, skip), samples(1, "primary/m=200")].concat(),
            is_back: true,
            after: samples(32, "primary/m=200"),
            ..Found::default()
        }
    }

    #[test]
    fn a_run_with_live_state_passes() {
        assert_eq!(good().violations(), Vec::<String>::new());
    }

    #[test]
    fn each_way_of_going_wrong_is_a_violation() {
        let wrongs: [fn(&mut Found); 8] = [
            |found| found.seen = 9,
            |found| found.seen = 0,
            |found| {
                found
                    .burst
                    .extend(samples(1, "primary/m=skipped:open, backup/m=200"))
            },
            |found| found.burst.retain(refused),
            |found| {
                found
                    .waiting
                    .extend(samples(1, "primary/m=429, backup/m=200"))
            },
            |found| found.is_back = false,
            |found| {
                found
                    .after
                    .extend(samples(1, "primary/m=skipped:cooling, backup/m=200"))
            },
            |found| found.waiting.extend(samples(1, "nonsense")),
        ];
        for (place, wrong) in wrongs.iter().enumerate() {
            let mut found = good();
            wrong(&mut found);
            assert_eq!(found.violations().len(), 1, "{place}");
        }
    }
}
