//! Many threads at one target.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::house::{Chance, FILE, House, at, failure, quota, wish};
use crate::outcome::{Blame, Outcome, Says, Skip};

const LIMITED: Outcome = Outcome::RateLimited(Blame::Target);

#[test]
fn of_sixty_four_threads_one_probes_and_the_others_do_not_wait() {
    let house = House::new(FILE);
    let x = house.target("x");
    house.fails("x", LIMITED, 0);
    for round in 1..=40_u64 {
        // Past the longest cool-down, so that a probe is due in each round.
        let now = round * 10_000;
        let (start, end) = (Barrier::new(64), Barrier::new(64));
        let probes = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    start.wait();
                    let told = house.board.admit(wish(&x, now), || 1);
                    let probe = match told {
                        Ok(admission) => {
                            assert!(admission.is_probe());
                            probes.fetch_add(1, Ordering::Relaxed);
                            Some(admission)
                        }
                        Err(refused) => {
                            assert_eq!(refused.why, Skip::Probing);
                            None
                        }
                    };
                    end.wait();
                    match probe {
                        // It fails, or its client leaves.
                        Some(probe) if round % 2 == 0 => probe.failed(failure(LIMITED), at(now)),
                        _ => {}
                    }
                });
            }
        });
        assert_eq!(probes.into_inner(), 1, "round {round}");
    }
    house.answers("x", 1_000_000);
    assert_eq!(house.asks("x", 1_000_000), "pass");
}

/// One way of ending, by chance.
fn any_outcome(chance: &mut Chance) -> Outcome {
    const OUTCOMES: [Outcome; 10] = [
        LIMITED,
        Outcome::Auth(Blame::Target),
        Outcome::BadAnswer(Says::Broken),
        Outcome::ClientGone,
        Outcome::Connect,
        Outcome::Cut,
        Outcome::Moderated,
        Outcome::NotFound(Blame::Target),
        Outcome::Reset(Blame::Target),
        Outcome::Unavailable,
    ];
    OUTCOMES[usize::try_from(chance.below(10)).unwrap()]
}

#[test]
fn whatever_happens_at_once_two_probes_are_never_out_and_every_place_comes_back() {
    for name in ["x", "a/made-up"] {
        let house = House::new(FILE);
        let target = house.target(name);
        let (clock, probes, last_resorts) =
            (AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let run = |seed| {
            let mut chance = Chance(seed);
            for _ in 0..4_000 {
                let now = clock.fetch_add(chance.below(200), Ordering::Relaxed);
                let Ok(mut admission) = house.board.admit(wish(&target, now), || 5) else {
                    if let Ok(resort) = house.board.last_resort(wish(&target, now)) {
                        let is_one = resort.is_last_resort();
                        let out = u32::from(is_one);
                        assert!(last_resorts.fetch_add(out, Ordering::SeqCst) < 9);
                        std::thread::yield_now();
                        last_resorts.fetch_sub(out, Ordering::SeqCst);
                        if chance.below(2) == 0 {
                            resort.failed(failure(any_outcome(&mut chance)), at(now));
                        }
                    }
                    continue;
                };
                // Counted within the time it is out, so it is never too many.
                let is_probe = u32::from(admission.is_probe());
                assert!(probes.fetch_add(is_probe, Ordering::SeqCst) + is_probe < 2);
                std::thread::yield_now();
                probes.fetch_sub(is_probe, Ordering::SeqCst);
                let left = (chance.below(3), chance.below(500));
                match chance.below(4) {
                    0 => {}
                    1 => admission.failed(failure(any_outcome(&mut chance)), at(now)),
                    2 => {
                        admission.headed(&quota(Some(left), None), at(now));
                        admission.failed(failure(any_outcome(&mut chance)), at(now));
                    }
                    _ => {
                        admission.said(at(now));
                        admission.finished(at(now));
                    }
                }
            }
        };
        let run = &run;
        std::thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || run(seed));
            }
        });
        // Long after, it is admitted, answers, and is as good as new.
        let mut later = clock.into_inner() + 1_000_000;
        for _ in 0..2 {
            assert!(["pass", "probe"].contains(&house.asks(name, later)));
            house.answers(name, later);
            later += 1;
        }
        assert_eq!(house.asks(name, later), "pass");
        let mut admission = house.board.admit(wish(&target, later), || 1).unwrap();
        admission.headed(&quota(Some((1, 9_000)), Some((10, 9_000))), at(later));
        drop(admission);
        let fits = house.board.admit(wish(&target, later), || 10);
        assert!(fits.is_ok(), "{fits:?}");
        assert!(house.board.admit(wish(&target, later), || 1).is_err());
    }
}
