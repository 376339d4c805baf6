//! The ring under many hands, the sums by the second, and what a reload keeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::base::Endpoint;
use crate::config::{Nothing, load};
use crate::journey::{End, Trail};

fn config(models: &str) -> Config {
    let text = format!("providers: {{ p: {{ base_url: \"http://127.0.0.1:1\" }} }}\n{models}");
    load("test.yaml", text.as_bytes(), &Nothing).expect("a good configuration")
}

fn walk(end: End, took: u64, second: u64) -> Walk {
    Walk {
        at: Moment::from_millis(second * 1000),
        id: HeaderValue::from_static("id"),
        receipt: Receipt {
            endpoint: Endpoint::Chat,
            key: None,
            trail: Trail::default(),
            answered: None,
            streamed: false,
            charged: None,
            end,
            status: None,
            first: None,
            took: Duration::from_millis(took),
            worked: Duration::ZERO,
            sent: took,
            started: tokio::time::Instant::now(),
        },
    }
}

#[test]
fn the_latest_walks_are_kept_and_seen_once() {
    let walks = Walks::new(&config(""), None);
    let mut seen = Seen::default();
    let mut look = || {
        let mut numbers = Vec::new();
        walks.look(&mut seen, |number, walk| {
            numbers.push((number, walk.receipt.sent))
        });
        numbers
    };
    assert!(look().is_empty());
    for number in 1..=3 {
        walks.remember(walk(End::Answered, number, 0));
    }
    assert_eq!(look(), [(1, 1), (2, 2), (3, 3)]);
    assert!(look().is_empty());
    for number in 4..=200 {
        walks.remember(walk(End::Answered, number, 0));
    }
    let latest: Vec<_> = (151..=200).map(|number| (number, number)).collect();
    assert_eq!(latest.len(), KEPT);
    assert_eq!(look(), latest);
}

#[test]
fn the_ring_stays_whole_while_many_write_and_one_looks() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 5000;
    let walks = Walks::new(&config(""), None);
    let done = AtomicBool::new(false);
    let mut seen = Seen::default();
    let mut numbers = std::collections::HashSet::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let walks = &walks;
                scope.spawn(move || {
                    for at in 0..EACH {
                        // Two fields that belong together.
                        walks.remember(walk(End::Answered, writer * EACH + at, 0));
                    }
                })
            })
            .collect();
        let (walks, done) = (&walks, &done);
        let (seen, numbers) = (&mut seen, &mut numbers);
        scope.spawn(move || {
            let mut look = || {
                walks.look(seen, |number, walk| {
                    let receipt = &walk.receipt;
                    assert_eq!(Duration::from_millis(receipt.sent), receipt.took);
                    assert!(numbers.insert(number), "{number} came twice");
                });
            };
            while !done.load(Ordering::Acquire) {
                look();
            }
            look();
        });
        for writer in writers {
            writer.join().expect("a writer ends");
        }
        done.store(true, Ordering::Release);
    });
    let last = WRITERS * EACH;
    let latest = last - KEPT as u64 + 1..=last;
    assert!(latest.clone().all(|number| numbers.contains(&number)));
    let lately = walks.lately(Moment::default());
    assert_eq!(lately.minutes.answered, last);
    assert_eq!(lately.bars.last(), Some(&last));
}

#[test]
fn what_ended_lately_is_counted_by_the_second() {
    let walks = Walks::new(&config(""), None);
    let ended = |end, second| walks.remember(walk(end, 1, second));
    let lately = |second: u32| walks.lately(Moment::from_millis(u64::from(second) * 1000 + 999));
    assert_eq!(lately(0).minutes, Sums::default());
    for _ in 0..20 {
        ended(End::Answered, 1000);
    }
    ended(End::Failed, 1004);
    ended(End::Cut, 1004);
    ended(End::ClientGone, 1006);
    let now = lately(1006);
    let sums = Sums {
        answered: 20,
        gone: 1,
        cut: 1,
        failed: 1,
        failed_over: 0,
    };
    assert_eq!(now.minutes, sums);
    assert!((now.per_second - 2.3).abs() < 1e-9);
    assert_eq!(now.bars[58..], [22, 1]);
    assert_eq!(now.bars.iter().sum::<u64>(), sums.all());
    // Quiet, and then forgotten.
    let later = lately(1012);
    assert!((later.per_second - 0.3).abs() < 1e-9);
    assert_eq!(lately(1299).minutes, sums);
    assert_eq!(lately(1300).minutes.all(), 3);
    assert_eq!(lately(1304).minutes.all(), 1);
    let empty = lately(1400);
    assert_eq!((empty.minutes.all(), empty.bars.iter().sum()), (0, 0));
    ended(End::Answered, 1400);
    assert_eq!(lately(1400).minutes.all(), 1);
}

#[test]
fn a_reload_keeps_what_was_tallied() {
    let old = config("models: { a: { provider: p, upstream_model: up } }");
    let walks = Walks::new(&old, None);
    let target = &old.targets[0];
    walks.at(target, |tally| {
        tally.answered(Some(Duration::from_millis(7)))
    });
    let mut made_up = Target::clone(target);
    made_up.index = None;
    made_up.upstream_model = "new".into();
    walks.at(&made_up, Tally::failed);
    walks.remember(walk(End::Answered, 1, 0));
    let new = config(
        "models: { b: { provider: p, upstream_model: new }, a: { provider: p, upstream_model: up } }",
    );
    let walks = Walks::new(&new, Some((&walks, &old)));
    let at = |model: &str| {
        let target = new.targets.iter().find(|t| t.upstream_model == model);
        walks.tallied(target.expect("a target"))
    };
    assert_eq!((at("up").answered, at("up").firsts), (1, vec![7]));
    assert_eq!((at("new").answered, at("new").failed), (0, 1));
    let mut left = 0;
    walks.made_up(|_, _| left += 1);
    assert_eq!(left, 0, "it has moved to the configured ones");
    assert_eq!(walks.lately(Moment::default()).minutes.answered, 1);
}

#[test]
fn only_the_latest_first_tokens_are_told_oldest_first() {
    let tally = Tally::default();
    for ms in 0..40 {
        tally.answered(Some(Duration::from_millis(ms)));
    }
    tally.answered(None);
    let told = tally.told();
    assert_eq!(told.answered, 41);
    assert_eq!(told.firsts, Vec::from_iter(8..40));
    assert_eq!(told.firsts.len(), FIRSTS);
}

#[test]
fn made_up_names_are_bounded_and_spare_those_that_answer() {
    let config = config("models: { a: { provider: p, upstream_model: up } }");
    let walks = Walks::new(&config, None);
    let named = |name: String| Target {
        index: None,
        upstream_model: name,
        ..Target::clone(&config.targets[0])
    };
    walks.at(&named("real".into()), |tally| tally.answered(None));
    for number in 0..5000 {
        walks.at(&named(format!("made-up-{number}")), Tally::failed);
    }
    let mut count = 0;
    walks.made_up(|_, _| count += 1);
    assert!(count <= 1024, "{count}");
    assert_eq!(walks.tallied(&named("real".into())).answered, 1);
    assert_eq!(walks.tallied(&named("made-up-4999".into())).failed, 1);
    assert_eq!(walks.tallied(&named("made-up-0".into())).failed, 0);
}
