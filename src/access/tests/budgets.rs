//! What a key may spend.

use std::cell::RefCell;
use std::sync::Mutex;

use super::*;
use crate::access::Entered;
use crate::refusal::Refusal;

fn entered(holder: &Arc<Holder>) -> Entered {
    holder.enter(1, at(0)).unwrap()
}

/// Spends so much at that time.
fn spend(holder: &Arc<Holder>, cost: &str, when: SystemTime) {
    let done = entered(holder);
    done.settle(&Tokens::default(), Some(usd(cost)), at(0), when);
}

fn room(holder: &Arc<Holder>, cost: &str, when: SystemTime) -> Result<(), Option<Duration>> {
    match entered(holder).reserve(usd(cost), when) {
        Ok(()) => Ok(()),
        Err(Refusal::Budget { wait, .. }) => Err(wait),
        Err(other) => panic!("{other:?}"),
    }
}

const HALF_A_DAY: Duration = Duration::from_secs(43_200);

#[test]
fn a_spent_budget_lets_nothing_in_until_midnight() {
    let holder = one("budget: { usd: 1.00 }");
    spend(&holder, "0.75", noon(0));
    assert_eq!(
        room(&holder, "0.250000000001", noon(0)),
        Err(Some(HALF_A_DAY))
    );
    assert_eq!(room(&holder, "0.25", noon(0)), Ok(()));
    spend(&holder, "0.25", noon(0));
    assert_eq!(
        room(&holder, "0", noon(600)),
        Err(Some(HALF_A_DAY - Duration::from_secs(600)))
    );
    assert!(room(&holder, "0", noon(43_199)).is_err());
    assert_eq!(room(&holder, "1", noon(43_200)), Ok(()));
}

#[test]
fn a_month_ends_with_its_last_day() {
    let holder = one("budget: { usd: 1, per: month }");
    spend(&holder, "1", noon(0));
    // 27 February at noon: a day and a half are left, as 2026 is no leap year.
    assert_eq!(room(&holder, "0.5", noon(0)), Err(Some(HALF_A_DAY * 3)));
    assert!(room(&holder, "0.5", noon(86_400)).is_err());
    assert_eq!(room(&holder, "0.5", noon(86_400 + 43_200)), Ok(()));
}

#[test]
fn what_is_reserved_counts_and_a_reservation_replaces_the_one_before() {
    let holder = one("budget: { usd: 1 }");
    let mut first = entered(&holder);
    first.reserve(usd("0.6"), noon(0)).unwrap();
    assert_eq!(
        room(&holder, "0.5", noon(0)),
        Err(Some(Duration::from_secs(1)))
    );
    // The next candidate is cheaper.
    first.reserve(usd("0.5"), noon(0)).unwrap();
    assert_eq!(room(&holder, "0.5", noon(0)), Ok(()));
    // One that does not fit leaves nothing reserved.
    assert!(first.reserve(usd("1.1"), noon(0)).is_err());
    assert_eq!(room(&holder, "1", noon(0)), Ok(()));
    first.reserve(usd("0.9"), noon(0)).unwrap();
    drop(first);
    assert_eq!(room(&holder, "1", noon(0)), Ok(()));
}

#[test]
fn what_costs_more_than_the_whole_budget_is_not_asked_to_wait() {
    let holder = one("budget: { usd: 1 }");
    assert_eq!(room(&holder, "1.01", noon(0)), Err(None));
}

#[test]
fn a_request_over_midnight_is_paid_for_in_the_day_it_ended() {
    let holder = one("budget: { usd: 1 }");
    let mut long = entered(&holder);
    long.reserve(usd("0.4"), noon(0)).unwrap();
    let after_midnight = noon(43_210);
    // What is reserved is reserved in the new day too.
    assert!(room(&holder, "0.7", after_midnight).is_err());
    long.settle(&Tokens::default(), Some(usd("0.8")), at(0), after_midnight);
    assert!(room(&holder, "0.3", after_midnight).is_err());
    assert_eq!(room(&holder, "0.2", after_midnight), Ok(()));
}

#[test]
fn a_thread_that_still_brings_yesterday_clears_no_day() {
    let holder = one("budget: { usd: 1 }");
    spend(&holder, "0.5", noon(43_200));
    spend(&holder, "0.25", noon(43_199));
    assert!(room(&holder, "0.26", noon(43_201)).is_err());
    // Nor does a clock that was a year ahead, or one that goes on from there.
    let holder = one("budget: { usd: 1 }");
    spend(&holder, "0.5", noon(365 * 86_400));
    spend(&holder, "0.25", noon(0));
    assert!(room(&holder, "0.26", noon(0)).is_err());
    assert_eq!(room(&holder, "1", noon(86_400)), Ok(()));
}

#[test]
fn many_at_once_overshoot_by_what_estimates_were_too_low_and_no_more() {
    for seed in 0..20 {
        let holder = one("budget: { usd: 1 }");
        let sums = Mutex::new((Usd::ZERO, Usd::ZERO));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (holder, sums) = (&holder, &sums);
                scope.spawn(move || {
                    let mut dice = Dice(seed * 8 + thread);
                    for _ in 0..200 {
                        let estimate = Usd::from_pico(u128::from(dice.below(20_000_000_000)));
                        let mut request = entered(holder);
                        if request.reserve(estimate, noon(0)).is_err() {
                            continue;
                        }
                        if dice.below(4) == 0 {
                            continue;
                        }
                        let low = Usd::from_pico(u128::from(dice.below(1_000_000_000)));
                        let cost = estimate + low;
                        request.settle(&Tokens::default(), Some(cost), at(0), noon(0));
                        let mut sums = sums.lock().unwrap();
                        sums.0 += cost;
                        sums.1 += low;
                    }
                });
            }
        });
        let (spent, low) = sums.into_inner().unwrap();
        assert!(spent > usd("0.9"), "seed {seed}: {spent}");
        assert!(
            spent <= usd("1") + low,
            "seed {seed}: {spent}, {low} too low"
        );
    }
}

#[test]
fn a_restart_goes_on_from_the_ledger() {
    let asked = RefCell::new(Vec::new());
    let spent = |name: &str, since: SystemTime| {
        asked.borrow_mut().push((name.to_owned(), since));
        match name {
            "daily" => usd("0.9"),
            _ => usd("20"),
        }
    };
    let keys = config(&[
        ("daily", "budget: { usd: 1 }"),
        ("monthly", "budget: { usd: 30, per: month }"),
    ]);
    let access = Access::new(&keys, None, &spent, noon(0));
    let midnight = noon(0) - HALF_A_DAY;
    let first = midnight - Duration::from_secs(26 * 86_400);
    let want = [
        ("daily", midnight),
        ("daily", first),
        ("monthly", midnight),
        ("monthly", first),
    ];
    let want = want.map(|(name, since)| (name.to_owned(), since));
    assert_eq!(*asked.borrow(), want);
    assert!(room(&holder(&access, "daily"), "0.11", noon(0)).is_err());
    assert_eq!(room(&holder(&access, "daily"), "0.1", noon(0)), Ok(()));
    assert!(room(&holder(&access, "monthly"), "10.01", noon(0)).is_err());
    // A reload does not ask again, and may change how often a budget begins.
    spend(&holder(&access, "daily"), "0.05", noon(0));
    let keys = config(&[("daily", "budget: { usd: 1, per: month }")]);
    let after = Access::new(&keys, Some(&access), &spent, noon(0));
    assert_eq!(asked.borrow().len(), 4);
    assert_eq!(room(&holder(&after, "daily"), "0.05", noon(0)), Ok(()));
    assert!(room(&holder(&after, "daily"), "0.06", noon(0)).is_err());
}
