//! Streams of 200 events: as fast as they go, and at the rate at which a model
//! speaks.

use std::time::Duration;

use crate::compare::bench::{Bench, Kind, percentile};
use crate::compare::load::Pace;
use crate::compare::metric;
use crate::compare::request::{WELL, chat};
use crate::compare::subject::DIRECT;
use crate::rounds::count;

/// Of each stream.
const EVENTS: u64 = 200;
/// Streams at the same time, at full speed …
const FAST: usize = 32;
/// … and at 50 events a second.
const SLOW: usize = 100;
/// Bytes of the request.
const BYTES: usize = 2 << 10;

pub(super) async fn full_speed(name: &'static str, bench: &mut Bench) -> Result<(), String> {
    let kinds = kinds(bench, "stream 200 0").await?;
    // The first event comes alone: the provider has nothing else to do then.
    let calm = chat(&[WELL], BYTES, "stream 5 1000");
    let time = (bench.warm, bench.measure);
    for _ in 0..bench.rounds {
        for (subject, kind) in bench.subjects.iter().zip(&kinds) {
            let column = subject.name;
            let taken = bench.load(subject, kind, Pace::Closed, FAST, time).await?;
            let (calm, _) = bench.first(subject, calm.clone()).await?;
            let alone = bench.load(subject, &calm, Pace::Closed, 1, time).await?;
            let sheet = &mut bench.sheet;
            if column != DIRECT {
                sheet.note(
                    name,
                    metric::CPU_EVENT,
                    column,
                    taken.processor_each(taken.events),
                );
                sheet.note(name, metric::BUSY, column, taken.busy());
            }
            sheet.note(name, metric::EVENTS, column, taken.rate(taken.events));
            let first = percentile(&alone.first, 50.0);
            sheet.note(name, metric::ALONE_FIRST, column, first);
        }
    }
    Ok(())
}

pub(super) async fn at_a_rate(name: &'static str, bench: &mut Bench) -> Result<(), String> {
    let kinds = kinds(bench, "stream 200 20000").await?;
    // Less than a stream takes: none of them ends within it.
    let time = (
        Duration::ZERO,
        (bench.measure * 2).min(Duration::from_secs(3)),
    );
    for _ in 0..bench.rounds {
        for (subject, kind) in bench.subjects.iter().zip(&kinds) {
            let column = subject.name;
            let taken = bench.load(subject, kind, Pace::Once(1), SLOW, time).await?;
            let sheet = &mut bench.sheet;
            let mut note = |metric, value| sheet.note(name, metric, column, value);
            note(metric::FIRST_P50, percentile(&taken.first, 50.0));
            note(metric::FIRST_P99, percentile(&taken.first, 99.0));
            note(metric::GAP_P50, percentile(&taken.gaps, 50.0));
            note(metric::GAP_P99, percentile(&taken.gaps, 99.0));
            note(metric::GAP_MAX, percentile(&taken.gaps, 100.0));
            let all = count(taken.gaps.len().max(1));
            note(metric::GAPS_LONG, count(taken.long_gaps) * 1e6 / all);
        }
    }
    Ok(())
}

async fn kinds(bench: &Bench, answer: &str) -> Result<Vec<Kind>, String> {
    let request = chat(&[WELL], BYTES, answer);
    let mut kinds = Vec::new();
    for subject in &bench.subjects {
        let (kind, _) = bench.first(subject, request.clone()).await?;
        if kind.expected.events != Some(EVENTS) {
            return Err(format!(
                "{}: {:?} events",
                subject.name, kind.expected.events
            ));
        }
        kinds.push(kind);
    }
    Ok(kinds)
}
