//! Plain chats whose request and answer have the same size: as many as go, one
//! after the other, and at half the rate that the slowest proxy bears.

use serde_json::Value;

use crate::compare::bench::{Bench, Kind, percentile};
use crate::compare::load::Pace;
use crate::compare::metric;
use crate::compare::request::{WELL, chat};
use crate::compare::subject::DIRECT;

/// Connections of the open loop: more than are ever needed at the same time
/// while a proxy keeps up.
const OPEN: usize = 256;

pub(super) async fn run(name: &'static str, bench: &mut Bench, bytes: usize) -> Result<(), String> {
    let kinds = kinds(bench, bytes).await?;
    let mut slowest = f64::INFINITY;
    for number in 0..bench.rounds {
        for (at, kind) in kinds.iter().enumerate() {
            let Some(subject) = bench.subjects.get(at) else {
                continue;
            };
            let column = subject.name;
            let time = (bench.warm, bench.measure);
            let connections = bench.connections;
            let taken = bench.load(subject, kind, Pace::Closed, connections, time);
            let closed = taken.await?;
            let time = (bench.warm / 2, bench.measure / 2);
            let taken = bench.load(subject, kind, Pace::Closed, 1, time);
            let alone = taken.await?;
            let sheet = &mut bench.sheet;
            if column != DIRECT {
                sheet.note(
                    name,
                    metric::CPU,
                    column,
                    closed.processor_each(closed.answers),
                );
                sheet.note(name, metric::BUSY, column, closed.busy());
                if number == 0 {
                    slowest = slowest.min(closed.rate(closed.answers));
                }
            }
            sheet.note(name, metric::RATE, column, closed.rate(closed.answers));
            let times = &alone.latency;
            sheet.note(name, metric::ALONE_P50, column, percentile(times, 50.0));
            sheet.note(name, metric::ALONE_P99, column, percentile(times, 99.0));
        }
        for (at, kind) in kinds.iter().enumerate() {
            let Some(subject) = bench.subjects.get(at) else {
                continue;
            };
            let column = subject.name;
            let time = (bench.warm, bench.measure);
            let pace = Pace::Open(slowest / 2.0);
            let open = bench.load(subject, kind, pace, OPEN, time).await?;
            let sheet = &mut bench.sheet;
            let times = &open.latency;
            sheet.note(name, metric::HALF_P50, column, percentile(times, 50.0));
            sheet.note(name, metric::HALF_P99, column, percentile(times, 99.0));
            sheet.note(name, metric::HALF_P999, column, percentile(times, 99.9));
        }
    }
    bench
        .sheet
        .note(name, metric::HALF_RATE, "all", slowest / 2.0);
    Ok(())
}

/// The request as each subject answers it; the answers are the same but for
/// the name of the model.
async fn kinds(bench: &Bench, bytes: usize) -> Result<Vec<Kind>, String> {
    let request = chat(&[WELL], bytes, &format!("plain {bytes}"));
    let mut kinds = Vec::new();
    let mut said = None;
    for subject in &bench.subjects {
        let (kind, answer) = bench.first(subject, request.clone()).await?;
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{}: {error}", subject.name))?;
        let content = body.pointer("/choices/0/message/content").cloned();
        if *said.get_or_insert_with(|| content.clone()) != content || content.is_none() {
            return Err(format!("{} answers something else", subject.name));
        }
        kinds.push(kind);
    }
    Ok(kinds)
}
