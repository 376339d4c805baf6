//! Requests and tokens per minute.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::refusal::Refusal;

fn wait(refusal: &Refusal) -> Option<Duration> {
    if let Refusal::RequestLimit { wait, .. } = refusal {
        return Some(*wait);
    }
    if let Refusal::TokenLimit { wait, .. } = refusal {
        return *wait;
    }
    panic!("{refusal:?}")
}

#[test]
fn a_thousand_at_once_against_a_hundred_let_exactly_a_hundred_through() {
    for _ in 0..20 {
        let holder = one("requests_per_minute: 100, tokens_per_minute: 1000000");
        let through = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (holder, through) = (&holder, &through);
                scope.spawn(move || {
                    for n in 0..125 {
                        match holder.enter(10, at(n % 3)) {
                            Ok(entered) if (n + thread) % 2 == 0 => {
                                entered.settle(&tokens(1, 1), None, at(n % 5), noon(0));
                                through.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(_) => {
                                through.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(refusal) => assert_eq!(refusal.status(), 429),
                        }
                    }
                });
            }
        });
        assert_eq!(through.into_inner(), 100);
    }
}

#[test]
fn tokens_that_many_reserve_at_once_never_exceed_the_limit() {
    let holder = one("tokens_per_minute: 1000");
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (holder, held) = (&holder, &held);
            scope.spawn(move || {
                for n in 0..2000_usize {
                    let asked = 50 + n % 97;
                    let Ok(entered) = holder.enter(asked as u64, at(0)) else {
                        continue;
                    };
                    let all = held.fetch_add(asked, Ordering::SeqCst) + asked;
                    assert!(all <= 1000, "{all}");
                    std::thread::yield_now();
                    held.fetch_sub(asked, Ordering::SeqCst);
                    drop(entered);
                }
            });
        }
    });
    // Everything came back.
    assert!(holder.enter(1000, at(0)).is_ok());
}

/// The naive log: all that was let in, and what a limit has to say of it.
#[test]
fn no_minute_ever_has_more_and_whoever_fits_is_let_in() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let most = 1 + dice.below(20) as usize;
        let pace = 1 + dice.below(12_000);
        let holder = one(&format!("requests_per_minute: {most}"));
        let mut log: Vec<u64> = Vec::new();
        let mut now = 0;
        for _ in 0..400 {
            now += dice.below(pace);
            let inside = log.iter().filter(|then| now - **then <= 60_000).count();
            match holder.enter(0, at(now)) {
                Ok(entered) if dice.below(10) == 0 => entered.withdraw(),
                Ok(_) => {
                    assert!(inside < most, "seed {seed} at {now}");
                    log.push(now);
                }
                Err(refusal) => {
                    assert_eq!(inside, most, "seed {seed} at {now}");
                    let oldest = log[log.len() - most];
                    let until = Duration::from_millis(oldest + 60_001 - now);
                    assert_eq!(wait(&refusal), Some(until), "seed {seed} at {now}");
                    if dice.below(3) == 0 {
                        // To the edge: a millisecond before, and then.
                        now = oldest + 60_000;
                        assert!(holder.enter(0, at(now)).is_err(), "seed {seed}");
                        now += 1;
                        let _ = holder.enter(0, at(now)).unwrap();
                        log.push(now);
                    }
                }
            }
        }
    }
}

#[test]
fn the_minute_slides_and_does_not_tumble() {
    let holder = one("requests_per_minute: 10");
    for n in 0..10 {
        assert!(holder.enter(0, at(59_990 + n)).is_ok());
    }
    // A new minute by the clock, but not by the last sixty seconds.
    let refusal = holder.enter(0, at(60_000)).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(60));
    assert!(holder.enter(0, at(119_990)).is_err());
    assert!(holder.enter(0, at(119_991)).is_ok());
    assert!(holder.enter(0, at(119_991)).is_err());
}

#[test]
fn a_refused_request_counts_for_nothing() {
    let holder = one("requests_per_minute: 2, tokens_per_minute: 100");
    let first = holder.enter(60, at(0)).unwrap();
    // Refused for its tokens, so it takes no request's place either.
    for _ in 0..50 {
        assert!(matches!(
            holder.enter(60, at(1)),
            Err(Refusal::TokenLimit { .. })
        ));
    }
    let second = holder.enter(40, at(2)).unwrap();
    assert!(matches!(
        holder.enter(1, at(3)),
        Err(Refusal::RequestLimit { .. })
    ));
    second.withdraw();
    let third = holder.enter(40, at(4)).unwrap();
    drop((first, third));
}

#[test]
fn tokens_are_reserved_by_estimate_and_settled_by_use() {
    let holder = one("tokens_per_minute: 1000");
    let first = holder.enter(800, at(0)).unwrap();
    let refusal = holder.enter(300, at(10)).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(1));
    first.settle(&tokens(90, 10), None, at(20), noon(0));
    let second = holder.enter(900, at(30)).unwrap();
    drop(second);
    // Dropped, it used nothing.
    let third = holder.enter(900, at(40)).unwrap();
    // More than was estimated: it counts in full.
    third.settle(&tokens(1000, 500), None, at(50), noon(0));
    let refusal = holder.enter(1, at(60)).unwrap_err();
    assert_eq!(
        wait(&refusal),
        Some(Duration::from_millis(50 + 60_001 - 60))
    );
    assert!(holder.enter(1, at(60_050)).is_err());
    assert!(holder.enter(1000, at(60_051)).is_ok());
}

#[test]
fn a_reservation_holds_longer_than_a_minute_if_the_request_does() {
    let holder = one("tokens_per_minute: 1000");
    let long = holder.enter(1000, at(0)).unwrap();
    assert!(holder.enter(1, at(300_000)).is_err());
    long.settle(&tokens(600, 0), None, at(300_000), noon(300));
    assert!(holder.enter(500, at(300_001)).is_err());
    assert!(holder.enter(400, at(300_001)).is_ok());
}

#[test]
fn what_is_larger_than_the_limit_is_not_asked_to_wait() {
    let holder = one("tokens_per_minute: 1000, requests_per_minute: 1");
    let _first = holder.enter(10, at(0)).unwrap();
    let refusal = holder.enter(1001, at(1)).unwrap_err();
    assert_eq!(refusal.retry_after(), None);
    let body = refusal.body();
    let text = String::from_utf8_lossy(&body);
    assert!(
        text.contains("1000 tokens") && text.contains("1001"),
        "{text}"
    );
}

#[test]
fn no_minute_has_more_tokens_than_the_limit_where_estimates_hold() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let most = 100 + dice.below(1000);
        let holder = one(&format!("tokens_per_minute: {most}"));
        let mut running = VecDeque::new();
        let mut used: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for _ in 0..500 {
            now += dice.below(4000);
            if dice.below(2) == 0
                && let Some((entered, asked)) = running.pop_front()
            {
                let entered: crate::access::Entered = entered;
                let real = dice.below(asked + 1);
                match dice.below(4) {
                    0 => drop(entered),
                    _ => {
                        entered.settle(&tokens(real / 2, real - real / 2), None, at(now), noon(0));
                        used.push((now, real));
                    }
                }
            }
            let asked = 1 + dice.below(most + most / 5);
            let inside: u64 = used
                .iter()
                .filter(|(then, _)| now - then <= 60_000)
                .map(|(_, real)| real)
                .sum();
            let held: u64 = running.iter().map(|(_, asked)| *asked).sum();
            let entered = holder.enter(asked, at(now));
            assert_eq!(
                entered.is_ok(),
                inside + held + asked <= most,
                "seed {seed} at {now}"
            );
            if let Ok(entered) = entered {
                running.push_back((entered, asked));
            }
        }
    }
}

#[test]
fn a_clock_that_was_read_too_early_opens_no_gap() {
    let holder = one("requests_per_minute: 2");
    assert!(holder.enter(0, at(100)).is_ok());
    assert!(holder.enter(0, at(99)).is_ok());
    assert!(holder.enter(0, at(60_100)).is_err());
    assert!(holder.enter(0, at(60_101)).is_ok());
    // Nor is one lost that is taken back.
    let holder = one("requests_per_minute: 9");
    let entered: Vec<_> = (0..9)
        .map(|early| holder.enter(0, at(100 - early)).unwrap())
        .collect();
    for entered in entered {
        entered.withdraw();
    }
    for _ in 0..9 {
        assert!(holder.enter(0, at(100)).is_ok());
    }
}

#[test]
fn windows_survive_a_reload_and_a_key_s_replacement() {
    let before = access(&[("a", "requests_per_minute: 2, tokens_per_minute: 100")]);
    let running = holder(&before, "a").enter(90, at(0)).unwrap();
    let mut config = config(&[("a", "requests_per_minute: 3, tokens_per_minute: 120")]);
    Arc::make_mut(&mut config.keys[0]).sha256 = Digest::of(b"sk-fresh");
    let after = Access::new(&config, Some(&before), &nothing, noon(0));
    let fresh = Arc::clone(after.who(&bearer("sk-fresh")).unwrap().unwrap());
    assert!(fresh.enter(31, at(1)).is_err());
    running.settle(&tokens(10, 10), None, at(2), noon(0));
    for _ in 0..2 {
        assert!(fresh.enter(31, at(3)).is_ok());
    }
    assert!(matches!(
        fresh.enter(31, at(3)),
        Err(Refusal::RequestLimit { most: 3, .. })
    ));
    // Taken out and put back, it begins nothing anew.
    let without = Access::new(&super::config(&[]), Some(&after), &nothing, noon(0));
    let back = Access::new(&config, Some(&without), &nothing, noon(0));
    let fresh = Arc::clone(back.who(&bearer("sk-fresh")).unwrap().unwrap());
    assert!(fresh.enter(1, at(4)).is_err());
}
