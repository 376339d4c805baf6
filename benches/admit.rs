//! What it costs to ask live state: per candidate of each request.
//!
//! `cargo bench --bench admit`; the README beside this file says how to read
//! it.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use standin::base::{Endpoint, ModelName};
use standin::config::{self, Config, Nothing, Target};
use standin::health::{Board, Failed, Moment, Wish};
use standin::outcome::{Blame, Outcome};
use standin::wire::{Left, Quota};

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

/// One provider with so many configured models.
fn house(models: usize) -> (Config, Board) {
    let mut text = String::from("providers:\n  p: { base_url: 'http://p/v1' }\nmodels:\n");
    for n in 0..models {
        text += &format!("  m{n}: {{ provider: p, upstream_model: m{n} }}\n");
    }
    let config = config::load("bench.yaml", text.as_bytes(), &Nothing).expect("it is valid");
    let board = Board::new(&config, None, clock());
    (config, board)
}

fn target(config: &Config, name: &str) -> Arc<Target> {
    let model = config.model(&ModelName::from(name)).expect("it is known");
    Arc::clone(&model.targets[0])
}

fn wish(target: &Target) -> Wish<'_> {
    Wish {
        target,
        endpoint: Endpoint::Chat,
        now: Moment::from_millis(1_000),
        dice: 7,
    }
}

/// As much as no bench takes, for hours.
fn reports(board: &Board, target: &Target) {
    let left = Left {
        remaining: 60_000_000,
        reset: Some(Duration::from_hours(1)),
    };
    let quota = Quota {
        requests: Some(left),
        tokens: Some(left),
    };
    let mut admission = board.admit(wish(target), || 1).expect("it is healthy");
    admission.headed(&quota, Moment::from_millis(1_000));
}

fn fails(board: &Board, target: &Target) {
    let failed = Failed {
        outcome: Outcome::RateLimited(Blame::Target),
        status: Some(429),
        wait: Some(Duration::from_hours(1)),
    };
    let admission = board.admit(wish(target), || 1).expect("it is healthy");
    admission.failed(failed, Moment::from_millis(1_000));
}

fn admit(board: &Board, target: &Target) {
    drop(black_box(board.admit(black_box(wish(target)), || 1_000)));
}

fn answer(board: &Board, target: &Target) {
    if let Ok(mut admission) = board.admit(black_box(wish(target)), || 1_000) {
        admission.said(Moment::from_millis(1_000));
        admission.finished(Moment::from_millis(1_000));
    }
}

/// The time of one operation, with one thread, then with two that do it at the
/// same target at once: each thread's own time for each of its operations.
fn measure(c: &mut Criterion, name: &str, work: impl Fn() + Sync) {
    let mut group = c.benchmark_group(name);
    for threads in [1, 2] {
        group.bench_function(format!("{threads}"), |b| {
            b.iter_custom(|times| {
                let barrier = Barrier::new(threads);
                let run = || {
                    barrier.wait();
                    let start = clock();
                    for _ in 0..times {
                        work();
                    }
                    start.elapsed()
                };
                let total: Duration = std::thread::scope(|scope| {
                    let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                    let all = all.into_iter().map(|one| one.join().expect("it ends"));
                    all.sum()
                });
                total / u32::try_from(threads).expect("two")
            });
        });
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    let (config, board) = house(3);
    let [plain, with_quota, cooling] = ["m0", "m1", "m2"].map(|name| target(&config, name));
    reports(&board, &with_quota);
    fails(&board, &cooling);
    measure(c, "admit/healthy", || admit(&board, &plain));
    measure(c, "admit/with quota", || admit(&board, &with_quota));
    measure(c, "admit/cooling, skipped", || admit(&board, &cooling));
    measure(c, "answer/healthy", || answer(&board, &plain));

    let made_up = target(&config, "p/never-asked");
    measure(c, "admit/made up, empty map", || admit(&board, &made_up));

    let (config, board) = house(10_000);
    let last = target(&config, "m9999");
    for n in 0..4_000 {
        answer(&board, &target(&config, &format!("p/made-up-{n}")));
    }
    measure(c, "admit/healthy, last of 10000", || admit(&board, &last));
    let made_up = target(&config, "p/made-up-2000");
    measure(c, "admit/made up, one of 4000", || admit(&board, &made_up));
    measure(c, "answer/made up, one of 4000", || {
        answer(&board, &made_up);
    });
}

criterion_group!(all, benches);
criterion_main!(all);
