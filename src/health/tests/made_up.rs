//! Names of clients' making, and the bound on them.

use std::sync::Arc;

use super::house::{at, rules};
use crate::health::made_up::MadeUp;
use crate::health::target::TargetHealth;
use crate::health::word::{Event, Sent};

const MOST: usize = 4_096;

fn remembered(made_up: &MadeUp) -> usize {
    let mut count = 0;
    made_up.each(|_, _, _| count += 1);
    count
}

/// Lets a target cool down until the far end of time.
fn cools(health: &TargetHealth) {
    let until = Some(at(1 << 30));
    health.whole.change(|word| {
        let refused = Event::Refused { until };
        word.after(Sent::AsLastResort, refused, at(0), &rules(), 0)
    });
}

fn flood(made_up: &MadeUp, names: usize) {
    for n in 0..names {
        cools(&made_up.enter(1, &format!("made-up-{n}"), at(0)));
    }
}

fn is_known(made_up: &MadeUp, model: &str) -> bool {
    made_up.look(1, model, |_| ()).is_some()
}

#[test]
fn a_hundred_thousand_names_leave_no_more_than_the_bound() {
    let made_up = MadeUp::default();
    flood(&made_up, 100_000);
    assert!(remembered(&made_up) <= MOST);
    // Nothing is lost while there is room.
    let made_up = MadeUp::default();
    flood(&made_up, MOST);
    assert_eq!(remembered(&made_up), MOST);
}

#[test]
fn what_is_known_of_a_real_model_survives_a_flood_of_others() {
    let made_up = MadeUp::default();
    let health = made_up.enter(1, "real", at(0));
    health.answers();
    cools(&health);
    drop(health);
    flood(&made_up, 20_000);
    let cools = made_up.look(1, "real", |health| !health.whole.word().is_healthy());
    assert_eq!(cools, Some(true));
}

#[test]
fn a_real_model_is_not_forgotten_to_be_real_while_it_is_healthy() {
    let made_up = MadeUp::default();
    made_up.enter(1, "real", at(0)).answers();
    flood(&made_up, 20_000);
    // It goes down after the flood and another flood comes.
    cools(&made_up.enter(1, "real", at(0)));
    flood(&made_up, 20_000);
    let cools = made_up.look(1, "real", |health| !health.whole.word().is_healthy());
    assert_eq!(cools, Some(true));
}

#[test]
fn names_that_answer_and_have_nothing_against_them_make_room_too() {
    let made_up = MadeUp::default();
    for n in 0..20_000 {
        made_up.enter(1, &format!("real-{n}"), at(0)).answers();
    }
    assert!(remembered(&made_up) <= MOST);
    cools(&made_up.enter(1, "new", at(0)));
    assert!(is_known(&made_up, "new"));
}

#[test]
fn what_a_request_has_in_hand_is_not_forgotten() {
    let made_up = MadeUp::default();
    let held = made_up.enter(1, "in-hand", at(0));
    flood(&made_up, 20_000);
    let still = made_up.look(1, "in-hand", Arc::clone);
    assert!(still.is_some_and(|still| Arc::ptr_eq(&still, &held)));
}

#[test]
fn where_all_the_room_is_taken_a_new_name_is_forgotten_at_once() {
    let made_up = MadeUp::default();
    let held: Vec<_> = (0..MOST)
        .map(|n| made_up.enter(1, &format!("in-hand-{n}"), at(0)))
        .collect();
    cools(&made_up.enter(1, "one-more", at(0)));
    assert!(!is_known(&made_up, "one-more"));
    assert_eq!(remembered(&made_up), MOST);
    drop(held);
    cools(&made_up.enter(1, "one-more", at(0)));
    assert!(is_known(&made_up, "one-more"));
}

#[test]
fn the_same_name_at_another_provider_is_another_one() {
    let made_up = MadeUp::default();
    let one = made_up.enter(1, "m", at(0));
    let two = made_up.enter(2, "m", at(0));
    assert!(!Arc::ptr_eq(&one, &two));
    assert!(Arc::ptr_eq(&one, &made_up.enter(1, "m", at(0))));
}
