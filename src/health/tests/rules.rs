//! How long a bad state lasts, and when a ratio decides.

use std::time::Duration;

use super::house::{Chance, at, rules};
use crate::config::Health;
use crate::health::{Moment, Rules};

/// The longest wait that a cool-down of this length may become.
fn with_jitter(wait: Duration) -> Duration {
    wait + (wait / 16).min(Duration::from_secs(2))
}

#[test]
fn no_dice_make_a_probe_early_or_more_than_a_sixteenth_or_two_seconds_late() {
    let now = at(123_456);
    let mut chance = Chance(1);
    let waits = [
        1, 99, 100, 101, 5_000, 32_000, 33_000, 3_600_000, 86_400_000,
    ];
    for wait in waits.map(Duration::from_millis) {
        let rules = Rules::new(Health {
            failures: 5,
            failure_ratio: 0.5,
            cooldown: wait,
            max_cooldown: wait,
        });
        let told = wait.max(Duration::from_millis(100));
        let dice = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        let drawn = (0..1_000).map(|_| chance.bits());
        for dice in dice.into_iter().chain(drawn) {
            let probe = rules.probe_at(3, now, dice).from(now);
            assert!(
                wait <= probe && probe <= with_jitter(wait) + MS,
                "{probe:?}"
            );
            let back = Rules::back_at(wait, now, dice).from(now);
            assert!(told <= back && back <= with_jitter(told) + MS, "{back:?}");
        }
        // All of that room is used.
        assert_eq!(rules.probe_at(0, now, 0).from(now), wait);
        let last = rules.probe_at(0, now, u64::MAX).from(now);
        assert!(last >= with_jitter(wait), "{last:?}");
    }
}

/// What the rounding up to whole milliseconds may add.
const MS: Duration = Duration::from_millis(1);

#[test]
fn a_fleet_is_spread_over_the_whole_jitter() {
    let mut chance = Chance(7);
    let mut tenths = [0_u32; 10];
    for _ in 0..10_000 {
        let wait = Rules::back_at(Duration::from_secs(32), at(0), chance.bits());
        let late = wait.as_millis() - 32_000;
        tenths[usize::try_from(late / 200).unwrap().min(9)] += 1;
    }
    assert!(
        tenths.iter().all(|n| (800..1_200).contains(n)),
        "{tenths:?}"
    );
}

#[test]
fn a_time_that_has_come_already_counts_as_a_tenth_of_a_second() {
    for wait in [0, 1, 99] {
        let back = Rules::back_at(Duration::from_millis(wait), at(50), 0);
        assert_eq!(back, at(150));
    }
}

#[test]
fn no_level_and_no_moment_overflow() {
    let rules = rules();
    for level in 0..=u8::MAX {
        let wait = rules.probe_at(level, at(0), 0).as_millis();
        assert_eq!(wait, (1_000_u64 << level.min(3)).min(8_000));
    }
    let last = at(u64::MAX);
    assert_eq!(rules.probe_at(0, last, u64::MAX), last);
    assert_eq!(Rules::back_at(Duration::MAX / 2, last, u64::MAX), last);
}

#[test]
fn the_ratio_decides_from_twenty_requests_on() {
    let rules = rules();
    for (good, bad, trips) in [
        (0, 19, false),
        (0, 20, true),
        (10, 9, false),
        (10, 10, true),
        (11, 10, false),
        (1_000_000, 999_999, false),
        (u32::MAX, 0, false),
        (0, u32::MAX, true),
        (u32::MAX, u32::MAX, true),
    ] {
        assert_eq!(rules.trips(good, bad), trips, "{good} good, {bad} bad");
    }
}

#[test]
fn a_moment_rounds_up_and_never_overflows() {
    let part = Duration::from_nanos(1_000_001);
    assert_eq!(at(1).after(part), at(3));
    assert_eq!(Moment::at(part), at(1));
    assert_eq!(at(1).after(Duration::MAX), at(u64::MAX));
    assert_eq!(at(1).from(at(2)), Duration::ZERO);
}
