//! What is left of a quota, while requests are on their way.

use std::sync::Barrier;
use std::time::Duration;

use super::house::{Chance, at, quota};
use crate::health::Moment;
use crate::health::remaining::{Counted, Remaining, Report};
use crate::wire::{Left, Quota};

const COOLDOWN: Duration = Duration::from_secs(5);

fn reported(requests: Option<(u64, u64)>, tokens: Option<(u64, u64)>) -> Remaining {
    let remaining = Remaining::default();
    remaining.report(&quota(requests, tokens), at(0), COOLDOWN);
    remaining
}

fn admits(remaining: &Remaining, tokens: u64, ms: u64) -> Result<Counted, Moment> {
    remaining.admit(|| tokens, at(ms))
}

#[test]
fn without_a_report_nothing_is_counted_and_nobody_is_asked_for_tokens() {
    let remaining = Remaining::default();
    for _ in 0..1_000 {
        let counted = remaining.admit(|| panic!("nobody wants to know"), at(0));
        assert_eq!(counted, Ok(Counted::default()));
    }
    remaining.report(&quota(Some((1, 1_000)), None), at(0), COOLDOWN);
    assert!(admits(&remaining, 1, 0).is_ok());
}

#[test]
fn of_fifty_at_once_one_takes_the_one_that_is_left() {
    for _ in 0..20 {
        let remaining = reported(Some((1, 60_000)), None);
        let barrier = Barrier::new(50);
        let took = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        admits(&remaining, 10, 1)
                    })
                })
                .collect();
            let ends = threads.into_iter().map(|thread| thread.join().unwrap());
            ends.filter(Result::is_ok).count()
        });
        assert_eq!(took, 1);
        assert_eq!(admits(&remaining, 10, 1), Err(at(60_000)));
    }
}

#[test]
fn who_is_refused_takes_nothing_and_hears_when_the_window_ends() {
    let remaining = reported(Some((2, 9_000)), Some((100, 70_000)));
    assert_eq!(admits(&remaining, 101, 1), Err(at(70_000)));
    let first = admits(&remaining, 60, 1).unwrap();
    assert_eq!(admits(&remaining, 41, 1), Err(at(70_000)));
    let second = admits(&remaining, 40, 1).unwrap();
    // Neither is left: only the later end makes room.
    assert_eq!(admits(&remaining, 1, 1), Err(at(70_000)));
    remaining.give_back(second);
    assert_eq!(admits(&remaining, 41, 1), Err(at(70_000)));
    remaining.give_back(first);
    assert!(admits(&remaining, 100, 1).is_ok());
}

#[test]
fn a_request_that_needs_nothing_still_waits_where_no_token_is_left() {
    let remaining = reported(None, Some((0, 7_000)));
    assert_eq!(admits(&remaining, 0, 1), Err(at(7_000)));
    assert_eq!(remaining.exhausted_until(at(1)), Some(at(7_000)));
}

#[test]
fn a_report_holds_until_its_window_ends() {
    let remaining = reported(Some((0, 1_000)), None);
    assert_eq!(admits(&remaining, 1, 999), Err(at(1_000)));
    assert_eq!(remaining.exhausted_until(at(999)), Some(at(1_000)));
    assert_eq!(admits(&remaining, 1, 1_000), Ok(Counted::default()));
    assert_eq!(remaining.exhausted_until(at(1_000)), None);
    assert_eq!(remaining.reports(at(1_000)), (None, None));
}

#[test]
fn a_report_without_a_time_holds_for_a_minute_and_an_empty_one_for_the_cooldown() {
    let left = |remaining| {
        Some(Left {
            remaining,
            reset: None,
        })
    };
    let remaining = Remaining::default();
    let quota = Quota {
        requests: left(3),
        tokens: left(0),
    };
    remaining.report(&quota, at(500), COOLDOWN);
    let report = |remaining, ms| {
        Some(Report {
            remaining,
            until: at(ms),
        })
    };
    let told = remaining.reports(at(500));
    assert_eq!(told, (report(3, 60_500), report(0, 5_500)));
}

#[test]
fn what_a_report_is_silent_about_stays_as_it_was() {
    let remaining = reported(Some((0, 9_000)), None);
    remaining.report(&quota(None, Some((50, 9_000))), at(1), COOLDOWN);
    assert_eq!(admits(&remaining, 1, 2), Err(at(9_000)));
    remaining.report(&quota(Some((1, 9_000)), None), at(3), COOLDOWN);
    assert!(admits(&remaining, 50, 4).is_ok());
}

#[test]
fn absurd_numbers_are_cut_to_what_fits() {
    let remaining = reported(Some((u64::MAX, u64::MAX)), Some((u64::MAX, u64::MAX)));
    let (requests, tokens) = remaining.reports(at(0));
    let most = (1 << 26) - 1;
    for report in [requests.unwrap(), tokens.unwrap()] {
        assert_eq!(report.remaining, most);
        // A thousand years do not fit; eight do.
        assert_eq!(report.until, at((1 << 38) - 1));
    }
    // One request counts for 16 M tokens at most, so four of them do not
    // reach into the count of requests.
    let counted: Vec<_> = (0..3)
        .map(|_| admits(&remaining, u64::MAX, 0).unwrap())
        .collect();
    assert!(admits(&remaining, u64::MAX, 0).is_err());
    counted
        .into_iter()
        .for_each(|counted| remaining.give_back(counted));
    assert!(admits(&remaining, most, 0).is_ok());
}

/// What is on its way, as the provider's last report leaves room for it, in a
/// plain list.
#[test]
fn it_admits_what_a_plain_list_admits_and_comes_back_to_nothing() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let remaining = Remaining::default();
        let (mut requests, mut tokens) = (None, None);
        let mut on_the_way: Vec<(Counted, u64, u64)> = Vec::new();
        let mut ms = 0;
        for _ in 0..200 {
            ms += chance.below(300);
            let holds = |report: Option<(u64, u64)>| report.filter(|(_, until)| *until > ms);
            match chance.below(5) {
                0 => {
                    let report = |chance: &mut Chance| {
                        (chance.below(2) == 0)
                            .then(|| (chance.below(8) * chance.below(20), chance.below(4_000)))
                    };
                    let said = (report(&mut chance), report(&mut chance));
                    remaining.report(&quota(said.0, said.1), at(ms), COOLDOWN);
                    let kept = |(left, wait)| (left, ms + wait);
                    requests = said.0.map(kept).or(requests);
                    tokens = said.1.map(kept).or(tokens);
                }
                1 if !on_the_way.is_empty() => {
                    let at = usize::try_from(chance.below(on_the_way.len() as u64)).unwrap();
                    remaining.give_back(on_the_way.swap_remove(at).0);
                }
                _ => {
                    let wants = chance.below(30);
                    let sent: u64 = on_the_way.iter().map(|held| held.1).sum();
                    let held: u64 = on_the_way.iter().map(|held| held.2).sum();
                    let (requests, tokens) = (holds(requests), holds(tokens));
                    let no_request = requests.filter(|(left, _)| sent >= *left);
                    let no_tokens = tokens.filter(|(left, _)| *left == 0 || held + wants > *left);
                    let until = no_request.max_by_until(no_tokens);
                    let is = admits(&remaining, wants, ms);
                    assert_eq!(is.err(), until.map(at), "seed {seed} at {ms} ms");
                    if let Ok(counted) = is {
                        let counts = u64::from(requests.is_some() || tokens.is_some());
                        let wants = if tokens.is_some() { wants } else { 0 };
                        on_the_way.push((counted, counts, wants));
                    }
                }
            }
        }
        for (counted, _, _) in on_the_way {
            remaining.give_back(counted);
        }
        // With nothing on its way, all that is reported is there to be taken.
        let all = quota(Some((1, 9_000)), Some((17, 9_000)));
        remaining.report(&all, at(ms), COOLDOWN);
        assert!(admits(&remaining, 18, ms).is_err(), "seed {seed}");
        assert!(admits(&remaining, 17, ms).is_ok(), "seed {seed}");
    }
}

/// The later end of two windows that are used up.
trait Later {
    fn max_by_until(self, other: Self) -> Option<u64>;
}

impl Later for Option<(u64, u64)> {
    fn max_by_until(self, other: Self) -> Option<u64> {
        let until = |report: Self| report.map(|(_, until)| until);
        until(self).max(until(other))
    }
}

#[test]
fn many_threads_give_back_all_that_they_took() {
    let remaining = reported(Some((5, 60_000)), Some((60, 60_000)));
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let remaining = &remaining;
            scope.spawn(move || {
                let mut chance = Chance(seed);
                for _ in 0..5_000 {
                    if let Ok(counted) = admits(remaining, chance.below(30), 1) {
                        remaining.give_back(counted);
                    }
                }
            });
        }
    });
    assert!(admits(&remaining, 61, 1).is_err());
    assert!(admits(&remaining, 60, 1).is_ok());
}
