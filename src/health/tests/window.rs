//! The window beside a plain list of all that happened.

use super::house::{Chance, at};
use crate::health::window::Window;

const WIDTH: u64 = 100;
const LAP: u64 = 30_000;

/// Every event with its tenth of a second.
#[derive(Default)]
struct Naive {
    events: Vec<(u64, bool)>,
    since: u64,
}

impl Naive {
    fn note(&mut self, is_good: bool, ms: u64) {
        self.events.push((ms / WIDTH, is_good));
    }

    fn counts(&self, ms: u64) -> (u32, u32) {
        let last = ms / WIDTH;
        let mut counts = (0, 0);
        for (tenth, is_good) in &self.events {
            if *tenth <= last && tenth + 300 > last && *tenth >= self.since {
                counts.0 += u32::from(*is_good);
                counts.1 += u32::from(!is_good);
            }
        }
        counts
    }

    fn begin_anew(&mut self, ms: u64) {
        self.since = self.since.max(ms / WIDTH + 1);
    }
}

/// A step ahead: mostly a little, often just at a bucket's or a lap's edge,
/// sometimes far.
fn step(chance: &mut Chance, ms: u64) -> u64 {
    let edge = |size: u64, chance: &mut Chance| {
        let next = (ms / size + 1) * size;
        next - ms - chance.below(2).min(next - ms)
    };
    match chance.below(10) {
        0 => 0,
        1 => edge(WIDTH, chance),
        2 => edge(LAP, chance),
        3 => LAP - 1 + chance.below(3),
        4 => LAP - WIDTH - 1 + chance.below(3),
        5 if chance.below(20) == 0 => chance.below(1 << 36),
        5 => chance.below(3 * LAP),
        _ => chance.below(400),
    }
}

#[test]
fn it_counts_what_a_plain_list_counts() {
    for seed in 0..100 {
        let mut chance = Chance(seed);
        let (window, mut naive) = (Window::default(), Naive::default());
        let mut ms = 0;
        for at_step in 0..300 {
            ms += step(&mut chance, ms);
            match chance.below(40) {
                0 => {
                    window.begin_anew(at(ms));
                    naive.begin_anew(ms);
                }
                n => {
                    // A thread may be a little late with its news.
                    let then = ms.saturating_sub(chance.below(3) * n * 10);
                    let is_good = chance.below(2) == 0;
                    window.note(is_good, at(then));
                    naive.note(is_good, then);
                }
            }
            let looked = ms + chance.below(2) * chance.below(LAP + 200);
            for ms in [ms, looked] {
                let (is, should) = (window.counts(at(ms)), naive.counts(ms));
                assert_eq!(is, should, "seed {seed}, step {at_step}, at {ms} ms");
            }
        }
    }
}

#[test]
fn a_burst_is_there_for_thirty_seconds_and_does_not_tumble_out_before() {
    let window = Window::default();
    for _ in 0..100 {
        window.note(false, at(900));
    }
    for ms in (900..30_900).step_by(50) {
        assert_eq!(window.counts(at(ms)), (0, 100), "at {ms} ms");
    }
    assert_eq!(window.counts(at(30_899)), (0, 100));
    for ms in (30_900..100_000).step_by(50) {
        assert_eq!(window.counts(at(ms)), (0, 0), "at {ms} ms");
    }
}

#[test]
fn what_was_before_a_recovery_no_longer_counts() {
    let window = Window::default();
    window.note(false, at(1_000));
    window.note(true, at(1_950));
    window.begin_anew(at(2_000));
    assert_eq!(window.counts(at(2_000)), (0, 0));
    window.note(false, at(2_100));
    assert_eq!(window.counts(at(2_100)), (0, 1));
    // A late thread's older recovery takes nothing back.
    window.begin_anew(at(500));
    assert_eq!(window.counts(at(2_100)), (0, 1));
}

#[test]
fn a_thread_that_slept_for_a_lap_neither_adds_nor_takes_away() {
    let window = Window::default();
    window.note(false, at(LAP + 5));
    window.note(false, at(5));
    assert_eq!(window.counts(at(LAP + 5)), (0, 1));
}

#[test]
fn counts_stay_at_what_a_bucket_can_hold_and_never_wrap() {
    let window = Window::default();
    for _ in 0..70_000 {
        window.note(false, at(0));
        window.note(true, at(0));
    }
    let most = u32::from(u16::MAX);
    assert_eq!(window.counts(at(0)), (most, most));
}

#[test]
fn an_unused_window_holds_nothing_at_any_time() {
    let window = Window::default();
    assert_eq!(window.counts(at(0)), (0, 0));
    assert_eq!(window.counts(at(u64::MAX)), (0, 0));
}

#[test]
fn many_threads_lose_no_count() {
    let window = Window::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let window = &window;
            scope.spawn(move || {
                for n in 0..5_000_u64 {
                    window.note(thread % 2 == 0, at(n));
                }
            });
        }
    });
    assert_eq!(window.counts(at(5_000)), (10_000, 10_000));
}
