//! `ledger`: what it costs to write usage down. The same requests through a
//! proxy that does and through one that does not, both with prices and a key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::ask::{Ask, Kind};
use crate::crowd::{Crowd, Sample, wrong};
use crate::folder::Folder;
use crate::rounds::{Side, count, requests_in};
use crate::scene::{BACKUP, PRICED};
use crate::stage::Stage;
use crate::table::{Table, verdict};
use crate::{figures, print, say};

/// How much processor time a request may take, of what it takes without, …
const CPU: f64 = 1.15;
/// … and how much longer it may take at the median, in microseconds.
const ADDED: f64 = 30.0;
/// Requests, by kind and bytes of the body.
const ASKS: [(Kind, usize); 3] = [
    (Kind::Chat, 2 << 10),
    (Kind::Chat, 32 << 10),
    (Kind::ChatStream, 2 << 10),
];
/// Requests before anything is measured.
const WARM: u64 = 3_000;
/// Requests of a round on one connection: it goes on while some records are
/// brought into the database.
const ALONE: u64 = 2_000;
/// Within this time the database has what was answered before.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) connections: usize,
    /// For each side and kind of request.
    pub(crate) rounds: usize,
    /// Processor time of the proxy in each round.
    pub(crate) seconds: f64,
}

/// One of the two proxies.
struct Subject {
    stage: Stage,
    /// Where it writes usage down, if it does.
    ledger: Option<PathBuf>,
    /// Requests that it has answered.
    answered: u64,
    /// Its processor time when its last round was over.
    used: Duration,
}

/// What was found for one kind of request.
#[derive(Debug)]
struct Found {
    kind: Kind,
    bytes: usize,
    /// Requests in each round.
    requests: u64,
    /// Microseconds of processor time for each request, with the ledger, …
    with: Side,
    /// … and without.
    without: Side,
    /// Microseconds that the median request takes on one connection.
    slow: Side,
    quick: Side,
    wrong: Vec<String>,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    if options.rounds == 0 {
        return Err("there must be a round".to_owned());
    }
    let folder = Folder::new()?;
    let path = folder.0.join("usage.db");
    let mut with = Subject::start(&standin, Some(path)).await?;
    let mut without = Subject::start(&standin, None).await?;
    let mut violations = Vec::new();
    for (kind, bytes) in ASKS {
        let found = LocalSet::new()
            .run_until(measure(options, &mut with, &mut without, kind, bytes))
            .await?;
        print(&format!("{}\n", found.table()))?;
        violations.extend(found.violations());
    }
    with.stage.end().await?;
    without.stage.end().await?;
    verdict(violations)
}

async fn measure(
    options: &Options,
    with: &mut Subject,
    without: &mut Subject,
    kind: Kind,
    bytes: usize,
) -> Result<Found, String> {
    let crowd = |subject: &Subject| {
        Crowd::new(subject.stage.listen, move |number| {
            Ask::sized(number, kind, &[BACKUP], bytes)
        })
    };
    let mut crowds = [crowd(with), crowd(without)];
    let mut subjects = [with, without];
    let mut found = Found {
        kind,
        bytes,
        requests: 0,
        with: Side::default(),
        without: Side::default(),
        slow: Side::default(),
        quick: Side::default(),
        wrong: Vec::new(),
    };
    let mut each = 0.0;
    for (crowd, subject) in crowds.iter_mut().zip(&mut subjects) {
        subject.settle().await?;
        let (_, used) = subject.round(crowd, WARM, options.connections).await?;
        each = used / 1e6;
    }
    found.requests = requests_in(options.seconds, each);
    say(&format!(
        "{kind:?}, {bytes} bytes: {} requests a round",
        found.requests
    ));
    for number in 0..options.rounds {
        // Each side goes first as often as the other.
        let (mut costs, mut took) = ([0.0; 2], [0.0; 2]);
        for side in [number % 2, (number + 1) % 2] {
            let (crowd, subject) = (&mut crowds[side], &mut subjects[side]);
            let many = subject.round(crowd, found.requests, options.connections);
            let (samples, used) = many.await?;
            found.wrong.extend(wrong(samples.iter()));
            costs[side] = used;
        }
        for side in [number % 2, (number + 1) % 2] {
            let (crowd, subject) = (&mut crowds[side], &mut subjects[side]);
            let (samples, _) = subject.round(crowd, ALONE, 1).await?;
            found.wrong.extend(wrong(samples.iter()));
            let took_each = |sample: &Sample| sample.took().as_secs_f64() * 1e6;
            took[side] = Side(samples.iter().map(took_each).collect()).median();
        }
        found.with.0.push(costs[0]);
        found.without.0.push(costs[1]);
        found.slow.0.push(took[0]);
        found.quick.0.push(took[1]);
        if !found.wrong.is_empty() {
            break;
        }
    }
    Ok(found)
}

impl Subject {
    async fn start(standin: &Path, ledger: Option<PathBuf>) -> Result<Self, String> {
        let stage = Stage::with(PRICED, 1, standin, ledger.as_deref()).await?;
        Ok(Self {
            used: figures::threads(stage.pid)?,
            stage,
            ledger,
            answered: 0,
        })
    }

    /// One round; what each request has cost, in microseconds. That includes
    /// whatever the proxy has done since the end of its last round.
    async fn round(
        &mut self,
        crowd: &mut Crowd,
        requests: u64,
        connections: usize,
    ) -> Result<(Vec<Sample>, f64), String> {
        crowd.send(requests, connections).await;
        let samples = crowd.take();
        self.answered += requests;
        self.settle().await?;
        let before = self.used;
        self.used = figures::threads(self.stage.pid)?;
        let used = self.used.saturating_sub(before);
        Ok((samples, used.as_secs_f64() * 1e6 / count(requests)))
    }

    /// Waits until everything that was answered is in the database: that is
    /// work too, and the other side's round must not pay for it.
    async fn settle(&self) -> Result<(), String> {
        let Some(path) = self.ledger.as_ref().filter(|_| self.answered > 0) else {
            return Ok(());
        };
        let tell = |error| format!("{}: {error}", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(path, flags).map_err(tell)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let sql = "SELECT value FROM meta WHERE name = 'position'";
            let position = database.query_row(sql, [], |row| row.get::<_, i64>(0));
            let position = position.map_err(tell)?.unsigned_abs();
            if position >= self.answered {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!(
                    "{} requests were answered, and only {position} are written down",
                    self.answered
                ));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Found {
    /// Of each pair of neighbouring rounds.
    fn ratios(&self) -> Side {
        self.with
            .beside(&self.without, |with, without| with / without)
    }

    fn added(&self) -> Side {
        self.slow.beside(&self.quick, |slow, quick| slow - quick)
    }

    fn violations(&self) -> Vec<String> {
        let mut found = self.wrong.clone();
        let what = format!("{:?}, {} bytes", self.kind, self.bytes);
        let (ratio, added) = (self.ratios().median(), self.added().median());
        // Also false where it is no number.
        let (is_cheap, is_quick) = (ratio <= CPU, added <= ADDED);
        if !is_cheap {
            found.push(format!(
                "{what}: with the ledger a request takes {ratio:.3} times the processor time, not {CPU} at most"
            ));
        }
        if !is_quick {
            found.push(format!(
                "{what}: with the ledger a request takes {added:.1} us more, not {ADDED} at most"
            ));
        }
        found
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row("request", format!("{:?}, {} bytes", self.kind, self.bytes));
        table.row("rounds of each, in turn", self.with.0.len());
        table.row("requests in each", self.requests);
        table.row("CPU a request in us, with the ledger", &self.with);
        table.row("CPU a request in us, without", &self.without);
        let medians = self.with.median() / self.without.median();
        table.row("ratio of the medians", format!("{medians:.3}"));
        table.row("ratio in each pair of rounds", self.ratios());
        table.row("median on one connection in us, with", &self.slow);
        table.row("median on one connection in us, without", &self.quick);
        table.row("added in each pair of rounds, in us", self.added());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(with: &[f64], slow: &[f64]) -> Found {
        let same = |count: usize| Side(vec![100.0; count]);
        Found {
            kind: Kind::Chat,
            bytes: 2048,
            requests: 1,
            with: Side(with.into()),
            without: same(with.len()),
            slow: Side(slow.into()),
            quick: same(slow.len()),
            wrong: Vec::new(),
        }
    }

    #[test]
    fn both_bounds_hold_for_the_medians() {
        let fine = [114.0, 90.0, 300.0];
        assert!(found(&fine, &[129.0, 1.0, 900.0]).violations().is_empty());
        assert_eq!(found(&fine, &[131.0, 1.0, 900.0]).violations().len(), 1);
        assert_eq!(found(&[116.0], &[131.0]).violations().len(), 2);
    }

    #[test]
    fn nothing_measured_is_no_success() {
        assert_eq!(found(&[], &[]).violations().len(), 2);
    }
}
