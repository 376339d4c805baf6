//! What a failure costs: the same request with a candidate before the one that
//! answers, beside one that names only that.

use crate::compare::bench::{Bench, Kind, percentile};
use crate::compare::load::Pace;
use crate::compare::metric;
use crate::compare::request::{WELL, chat};
use crate::compare::script;
use crate::compare::subject::{DIRECT, STANDIN};
use crate::rounds::count;

/// The column of requests that name only the candidate that answers.
pub(in crate::compare) const ALONE: &str = "standin, no failure";

/// A way to fail.
pub(super) struct Way {
    /// The provider of the candidate that does.
    provider: &'static str,
    /// It goes by so many names: state is kept for each, so that few have
    /// failed within the last millisecond, and no table of names is filled to
    /// its bound, as it never is where they are real ones.
    names: usize,
    bytes: usize,
    answer: &'static str,
    /// What stands in the walk of an answer that came so.
    mark: &'static [u8],
    connections: usize,
    /// Whether the others are measured too, without a failure.
    with_others: bool,
}

pub(super) const SKIP: Way = Way {
    provider: script::COOLING,
    names: 1,
    bytes: 2 << 10,
    answer: "plain 2048",
    mark: b"skipped:cooling",
    connections: 64,
    with_others: false,
};
pub(super) const LIMITED: Way = Way {
    provider: script::LIMITED,
    names: 256,
    mark: b"=429,",
    ..SKIP
};
pub(super) const ERRS: Way = Way {
    provider: script::ERRS,
    answer: "stream 20 0",
    mark: b"=bad_answer,",
    ..LIMITED
};
pub(super) const LARGE: Way = Way {
    names: 64,
    bytes: 1 << 20,
    connections: 8,
    with_others: true,
    ..LIMITED
};

/// How many of the answers must have come in that way.
const MOST: f64 = 0.95;

impl Way {
    /// Requests that fail so, and what is expected of their answers.
    pub(super) async fn kind(&self, bench: &Bench) -> Result<Kind, String> {
        let subject = bench.subject(STANDIN).ok_or("no standin")?;
        let names = (0..self.names).map(|number| format!("{}/m{number}", self.provider));
        let requests: Vec<Vec<u8>> = names
            .map(|name| chat(&[&name, WELL], self.bytes, self.answer))
            .collect();
        let first = requests.first().cloned().unwrap_or_default();
        let (mut kind, _) = bench.first(subject, first).await?;
        kind.expected.mark = self.mark;
        kind.requests = requests;
        Ok(kind)
    }
}

pub(super) async fn run(name: &'static str, bench: &mut Bench, way: &Way) -> Result<(), String> {
    let time = (bench.warm, bench.measure);
    let plain = chat(&[WELL], way.bytes, way.answer);
    let mut columns = Vec::new();
    for (at, subject) in bench.subjects.iter().enumerate() {
        let column = if subject.name == STANDIN {
            ALONE
        } else {
            subject.name
        };
        if way.with_others || subject.name == STANDIN {
            let (kind, _) = bench.first(subject, plain.clone()).await?;
            columns.push((column, at, kind));
        }
        if subject.name == STANDIN {
            columns.push((STANDIN, at, way.kind(bench).await?));
        }
    }
    for _ in 0..bench.rounds {
        for (column, at, kind) in &columns {
            let Some(subject) = bench.subjects.get(*at) else {
                continue;
            };
            let connections = way.connections;
            let taken = bench.load(subject, kind, Pace::Closed, connections, time);
            let taken = taken.await?;
            let time = (bench.warm / 2, bench.measure / 2);
            let alone = bench.load(subject, kind, Pace::Closed, 1, time).await?;
            let sheet = &mut bench.sheet;
            if *column != DIRECT {
                let each = taken.processor_each(taken.answers);
                sheet.note(name, metric::CPU, column, each);
            }
            sheet.note(name, metric::RATE, column, taken.rate(taken.answers));
            let p50 = percentile(&alone.latency, 50.0);
            sheet.note(name, metric::ALONE_P50, column, p50);
            if *column == STANDIN {
                let share = count(taken.marked) / count(taken.answers.max(1));
                sheet.note(name, metric::FAILED_OVER, column, share * 100.0);
                if share < MOST {
                    return Err(format!(
                        "{name}: only {:.1} % of the answers came after a failure",
                        share * 100.0
                    ));
                }
            }
        }
    }
    Ok(())
}
