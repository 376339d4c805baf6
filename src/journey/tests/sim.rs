//! Whole journeys under random weather: the plan, live state and the way
//! there and back, run by seeds on a paused clock.
//!
//! `STANDIN_SEED` is the seed of the first run (and alone, of the only one),
//! `STANDIN_RUNS` how many there are.

mod account;
mod chance;
mod drive;
mod mood;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::account::Account;

/// A few seconds, unoptimized.
const RUNS: u64 = 200;

fn of_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64) -> Account {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(drive::drive(seed))));
    ran.unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().cloned();
        let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        panic!("STANDIN_SEED={seed} shows it: {}", text.unwrap_or_default());
    })
}

#[test]
fn whatever_the_weather_nothing_known_to_be_bad_is_asked_and_nothing_is_lost() {
    let first = of_environment("STANDIN_SEED");
    let runs = of_environment("STANDIN_RUNS").unwrap_or(if first.is_some() { 1 } else { RUNS });
    let first = first.unwrap_or(1);
    let mut all = Account::default();
    for seed in first..first + runs {
        let account = run(seed);
        all.probes += account.probes;
        all.recalls += account.recalls;
        all.last_resorts += account.last_resorts;
        all.unfinished += account.unfinished;
        all.doomed += account.doomed;
        all.drills += account.drills;
    }
    // Runs in which nothing of it happens would hold everything.
    if runs >= RUNS {
        let counts = [
            all.probes,
            all.recalls,
            all.last_resorts,
            all.unfinished,
            all.doomed,
            all.drills,
        ];
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    }
}
