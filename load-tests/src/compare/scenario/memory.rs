//! What a proxy takes: when it has just started, for each stream that is open,
//! and what it keeps of large bodies. Each begins with fresh processes.

use std::time::Duration;

use tokio::time::sleep;

use crate::compare::bench::Bench;
use crate::compare::load::Pace;
use crate::compare::metric;
use crate::compare::request::{WELL, chat};
use crate::compare::subject::{PROXIES, STANDIN, Setting, Subject, memory, most_memory};
use crate::rounds::count;

/// A process is idle when it has had nothing to do for so long.
const IDLE: Duration = Duration::from_secs(1);
/// Streams that begin at the same time, while many do.
const BEGINNING: usize = 128;
/// Large bodies, at the same time, and their size.
const BODIES: usize = 40;
const LARGE: usize = 8 << 20;
/// Within this time an allocator should have given memory back.
const SETTLED: Duration = Duration::from_secs(15);
/// Starts that are timed.
const STARTS: usize = 5;

pub(super) async fn idle(
    name: &'static str,
    bench: &mut Bench,
    setting: &Setting<'_>,
) -> Result<(), String> {
    for _ in 0..STARTS.min(bench.rounds) {
        for proxy in PROXIES {
            let Some(subject) = Subject::named(proxy, setting).await? else {
                continue;
            };
            sleep(IDLE).await;
            let resident = mebibytes(memory(&subject.processes())?);
            let ready = subject.ready.as_secs_f64() * 1e3;
            bench.sheet.note(name, metric::IDLE, proxy, resident);
            bench.sheet.note(name, metric::READY, proxy, ready);
            subject.end().await?;
        }
    }
    let binaries = setting.binaries;
    let paths = [
        binaries.nginx.as_ref(),
        Some(&binaries.bare),
        Some(&binaries.standin),
    ];
    for (proxy, path) in PROXIES.into_iter().zip(paths) {
        // A name that the search path resolves says nothing of a size.
        if let Some(Ok(about)) = path.map(std::fs::metadata) {
            bench
                .sheet
                .note(name, metric::SIZE, proxy, mebibytes(about.len() / 1024));
        }
    }
    Ok(())
}

pub(super) async fn streams(
    name: &'static str,
    bench: &mut Bench,
    setting: &Setting<'_>,
) -> Result<(), String> {
    let request = chat(&[WELL], 2 << 10, "stream 1000 5000000");
    let time = (Duration::ZERO, bench.measure * 4);
    let streams = bench.streams;
    bench
        .sheet
        .note(name, metric::STREAMS, "all", count(streams as u64));
    for proxy in PROXIES {
        let Some(subject) = Subject::named(proxy, setting).await? else {
            continue;
        };
        // One whole stream before: what is made once is not counted.
        let (mut kind, _) = bench
            .first(&subject, chat(&[WELL], 2 << 10, "stream 200 0"))
            .await?;
        kind.requests = vec![request.clone()];
        let before = memory(&subject.processes())?;
        let taken = bench
            .load(&subject, &kind, Pace::Once(BEGINNING), streams, time)
            .await?;
        let after = taken.after.memory;
        if taken.first.len() < streams as u64 {
            return Err(format!("{proxy}: only {} streams began", taken.first.len()));
        }
        let each = count(after.saturating_sub(before)) / count(streams as u64);
        bench.sheet.note(name, metric::PER_STREAM, proxy, each);
        bench
            .sheet
            .note(name, metric::BEFORE, proxy, mebibytes(before));
        bench
            .sheet
            .note(name, metric::AFTER, proxy, mebibytes(after));
        subject.end().await?;
    }
    Ok(())
}

pub(super) async fn bodies(
    name: &'static str,
    bench: &mut Bench,
    setting: &Setting<'_>,
) -> Result<(), String> {
    for proxy in PROXIES {
        let Some(subject) = Subject::named(proxy, setting).await? else {
            continue;
        };
        let (small, _) = bench
            .first(&subject, chat(&[WELL], 2 << 10, "plain 2048"))
            .await?;
        let time = (bench.warm, bench.measure);
        bench
            .load(&subject, &small, Pace::Closed, BODIES, time)
            .await?;
        sleep(IDLE).await;
        let before = memory(&subject.processes())?;
        let (large, _) = bench
            .first(&subject, chat(&[WELL], LARGE, "plain 2048"))
            .await?;
        // Each connection sends at least one.
        let time = (Duration::ZERO, Duration::from_millis(1));
        bench
            .load(&subject, &large, Pace::Closed, BODIES, time)
            .await?;
        let most = most_memory(&subject.processes())?;
        sleep(SETTLED).await;
        let after = memory(&subject.processes())?;
        let sheet = &mut bench.sheet;
        sheet.note(name, metric::BEFORE, proxy, mebibytes(before));
        sheet.note(name, metric::PEAK, proxy, mebibytes(most));
        sheet.note(name, metric::AFTER, proxy, mebibytes(after));
        if proxy == STANDIN {
            let ratio = count(after) / count(before.max(1));
            sheet.note(name, metric::KEPT, proxy, ratio);
        }
        subject.end().await?;
    }
    Ok(())
}

fn mebibytes(kibibytes: u64) -> f64 {
    count(kibibytes) / 1024.0
}
