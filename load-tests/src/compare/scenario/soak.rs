//! Standin alone, for long, while candidates fail: its memory must not grow.

use std::time::Duration;

use tokio::time::Instant;

use super::failing::{ERRS, LARGE, LIMITED, SKIP};
use crate::compare::bench::{Bench, percentile};
use crate::compare::load::Pace;
use crate::compare::metric;
use crate::compare::subject::{STANDIN, Setting, memory};
use crate::rounds::count;

/// How long each kind of failure goes on before the next.
const EACH: Duration = Duration::from_secs(5);
/// Requests in a second, and of those with large bodies.
const RATE: f64 = 1_000.0;
const LARGE_RATE: f64 = 20.0;
const CONNECTIONS: usize = 256;

pub(super) async fn run(
    name: &'static str,
    bench: &mut Bench,
    _: &Setting<'_>,
) -> Result<(), String> {
    let ways = [
        (&SKIP, RATE),
        (&LIMITED, RATE),
        (&ERRS, RATE),
        (&LARGE, LARGE_RATE),
    ];
    let mut kinds = Vec::new();
    for (way, rate) in ways {
        kinds.push((way.kind(bench).await?, rate));
    }
    let began = Instant::now();
    let length = Duration::from_secs(bench.minutes * 60);
    let mut warm = None;
    loop {
        for (kind, rate) in &kinds {
            let subject = bench.subject(STANDIN).ok_or("no standin")?;
            let time = (Duration::ZERO, EACH);
            let pace = Pace::Open(*rate);
            let taken = bench.load(subject, kind, pace, CONNECTIONS, time).await?;
            let p99 = percentile(&taken.latency, 99.0);
            bench.sheet.note(name, metric::SOAK_P99, STANDIN, p99);
        }
        let subject = bench.subject(STANDIN).ok_or("no standin")?;
        let resident = count(memory(&subject.processes())?) / 1024.0;
        bench.sheet.note(name, metric::AFTER, STANDIN, resident);
        let passed = began.elapsed();
        if passed >= length / 10 {
            warm.get_or_insert(resident);
        }
        if passed >= length {
            let ratio = resident / warm.unwrap_or(f64::NAN);
            bench.sheet.note(name, metric::GROWN, STANDIN, ratio);
            return Ok(());
        }
    }
}
