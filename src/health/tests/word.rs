//! One word: what it holds, how long it stays bad, and who may mend it.

use super::house::{Chance, at, rules};
use crate::health::word::{Admit, Event, Phase, Sent, State, Word};
use crate::health::{Moment, Rules};

const PHASES: [Phase; 3] = [Phase::Healthy, Phase::Cooling, Phase::Open];
const FAILED: Event = Event::Failed { too_many: false };
const CUT: Event = Event::Cut { too_many: false };
const REFUSED: Event = Event::Refused { until: None };
const LATEST: u64 = (1 << 38) - 1;

/// A word and its clock.
struct Run {
    word: Word,
    now: Moment,
    rules: Rules,
}

impl Run {
    fn new() -> Self {
        Self {
            word: Word::default(),
            now: at(0),
            rules: rules(),
        }
    }

    fn notes(&mut self, from: Sent, event: Event) -> State {
        self.word = self.word.after(from, event, self.now, &self.rules, 0);
        self.word.state()
    }

    /// As a request that was sent just now.
    fn notes_usual(&mut self, event: Event) -> State {
        let generation = self.word.state().generation;
        self.notes(Sent::Usually(generation), event)
    }

    fn opens(&mut self) {
        for _ in 0..3 {
            self.notes_usual(FAILED);
        }
        assert_eq!(self.word.state().phase, Phase::Open);
    }

    /// Waits for the probe's moment and takes its place; says how long that
    /// took.
    fn probes(&mut self) -> u64 {
        let due = self.word.state().until;
        let wait = due.as_millis() - self.now.as_millis();
        self.now = at(due.as_millis() - 1);
        assert!(!matches!(self.word.admit(self.now), Admit::Due(_)));
        self.now = due;
        let Admit::Due(claimed) = self.word.admit(due) else {
            panic!("no probe is due in {:?}", self.word.state());
        };
        self.word = claimed;
        assert_eq!(self.word.admit(due), Admit::Probing);
        wait
    }
}

#[test]
fn every_field_is_kept_whatever_its_neighbours_are() {
    for phase in PHASES {
        for bits in 0..1 << 11 {
            let pick = |at: u32, values: [u8; 4]| values[(bits >> at) & 3];
            let until = [0, 1, LATEST - 1, LATEST][(bits >> 8) & 3];
            let state = State {
                phase,
                probed: bits >> 10 == 1,
                failures: pick(0, [0, 1, 64, 127]),
                cuts: pick(2, [0, 1, 64, 127]),
                level: pick(4, [0, 1, 8, 15]),
                generation: pick(6, [0, 1, 16, 31]),
                until: at(until),
            };
            assert_eq!(state.word().state(), state);
            assert_eq!(state.word().is_healthy(), phase == Phase::Healthy);
            assert_eq!(Word::from_bits(state.word().bits()), state.word());
        }
    }
}

#[test]
fn what_does_not_fit_is_cut_to_what_does_and_spoils_no_neighbour() {
    let state = State {
        phase: Phase::Cooling,
        probed: false,
        failures: 255,
        cuts: 255,
        level: 255,
        generation: 32,
        until: at(u64::MAX),
    };
    let fits = State {
        failures: 127,
        cuts: 127,
        level: 15,
        generation: 0,
        until: at(LATEST),
        ..state
    };
    assert_eq!(state.word().state(), fits);
}

#[test]
fn as_many_failures_in_a_row_as_the_rules_say_open_it_and_no_fewer() {
    let mut run = Run::new();
    for _ in 0..50 {
        run.notes_usual(FAILED);
        run.notes_usual(FAILED);
        assert_eq!(run.notes_usual(Event::Said).failures, 0);
    }
    assert_eq!(run.notes_usual(FAILED).phase, Phase::Healthy);
    assert_eq!(run.notes_usual(FAILED).phase, Phase::Healthy);
    assert_eq!(run.notes_usual(FAILED).phase, Phase::Open);
}

#[test]
fn cuts_count_although_each_of_them_began_with_an_answer() {
    let mut run = Run::new();
    for cuts in 1..3 {
        run.notes_usual(Event::Said);
        let state = run.notes_usual(CUT);
        assert_eq!((state.phase, state.cuts), (Phase::Healthy, cuts));
    }
    run.notes_usual(Event::Said);
    assert_eq!(run.notes_usual(CUT).phase, Phase::Open);

    let mut run = Run::new();
    run.notes_usual(CUT);
    run.notes_usual(CUT);
    assert_eq!(run.notes_usual(Event::Finished).cuts, 0);
}

#[test]
fn the_ratios_word_opens_it_at_the_first_failure() {
    for event in [
        Event::Failed { too_many: true },
        Event::Cut { too_many: true },
    ] {
        let mut run = Run::new();
        assert_eq!(run.notes_usual(event).phase, Phase::Open);
    }
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_the_bound() {
    for event in [FAILED, CUT, REFUSED] {
        let mut run = Run::new();
        run.opens();
        for expected in [1_000, 2_000, 4_000].into_iter().chain([8_000; 40]) {
            assert_eq!(run.probes(), expected, "{event:?}");
            run.notes(Sent::AsProbe, event);
        }
    }
}

#[test]
fn a_whole_answer_ends_the_doubling_and_a_beginning_does_not() {
    let mut run = Run::new();
    run.opens();
    run.probes();
    run.notes(Sent::AsProbe, FAILED);
    run.probes();
    let state = run.notes(Sent::AsProbe, Event::Said);
    assert_eq!((state.phase, state.level), (Phase::Healthy, 2));
    run.opens();
    assert_eq!(run.probes(), 4_000);
    run.notes(Sent::AsProbe, Event::Said);
    run.notes_usual(Event::Finished);
    run.opens();
    assert_eq!(run.probes(), 1_000);
}

#[test]
fn what_breaks_off_again_and_again_reopens_by_one_more_cut_twice_as_long() {
    let mut run = Run::new();
    for _ in 0..3 {
        run.notes_usual(CUT);
    }
    for expected in [1_000, 2_000, 4_000, 8_000, 8_000] {
        assert_eq!(run.probes(), expected);
        assert_eq!(run.notes(Sent::AsProbe, Event::Said).phase, Phase::Healthy);
        assert_eq!(run.notes_usual(CUT).phase, Phase::Open);
    }
}

#[test]
fn failures_from_before_the_last_recovery_say_nothing() {
    let mut run = Run::new();
    run.opens();
    run.probes();
    let healed = run.notes(Sent::AsProbe, Event::Said);
    let before = Sent::Usually(healed.generation - 1);
    for event in [FAILED, CUT, REFUSED, Event::Failed { too_many: true }] {
        for _ in 0..20 {
            assert_eq!(run.notes(before, event), healed, "{event:?}");
        }
    }
    run.notes_usual(FAILED);
    assert_eq!(run.notes(before, Event::Said).failures, 1);
}

#[test]
fn a_time_that_the_provider_says_is_believed_whoever_was_told() {
    let mut run = Run::new();
    run.opens();
    run.probes();
    let healed = run.notes(Sent::AsProbe, Event::Said);
    let until = Some(at(run.now.as_millis() + 30_000));
    let state = run.notes(
        Sent::Usually(healed.generation - 1),
        Event::Refused { until },
    );
    assert_eq!((state.phase, Some(state.until)), (Phase::Cooling, until));
    // A shorter one does not bring it back, a longer one keeps it away.
    let sooner = Some(at(run.now.as_millis() + 10_000));
    let told = run.notes_usual(Event::Refused { until: sooner });
    assert_eq!(Some(told.until), until);
    let later = Some(at(run.now.as_millis() + 90_000));
    let told = run.notes_usual(Event::Refused { until: later });
    assert_eq!(Some(told.until), later);
}

#[test]
fn a_burst_of_refusals_without_a_time_is_one_refusal() {
    let mut run = Run::new();
    let first = run.notes_usual(REFUSED);
    assert_eq!((first.phase, first.level), (Phase::Cooling, 1));
    run.now = at(500);
    for _ in 0..100 {
        assert_eq!(run.notes_usual(REFUSED), first);
    }
}

#[test]
fn a_probe_that_answers_while_another_was_refused_for_longer_ends_only_itself() {
    let mut run = Run::new();
    let refused = Event::Refused {
        until: Some(at(5_000)),
    };
    run.notes_usual(refused);
    run.probes();
    let longer = Some(at(60_000));
    run.notes(Sent::AsLastResort, Event::Refused { until: longer });
    let state = run.notes(Sent::AsProbe, Event::Said);
    assert_eq!((state.phase, state.probed), (Phase::Cooling, false));
    assert_eq!(run.word.admit(run.now), Admit::Cooling(at(60_000)));
}

#[test]
fn a_last_resort_that_is_answered_makes_an_open_one_due_and_a_cooling_one_not() {
    let mut run = Run::new();
    run.opens();
    run.now = at(300);
    let state = run.notes(Sent::AsLastResort, Event::Said);
    assert_eq!((state.phase, state.until), (Phase::Open, at(300)));
    assert!(matches!(run.word.admit(at(300)), Admit::Due(_)));

    let mut run = Run::new();
    let until = Some(at(5_000));
    run.notes_usual(Event::Refused { until });
    run.notes(Sent::AsLastResort, Event::Said);
    assert_eq!(run.word.admit(at(300)), Admit::Cooling(at(5_000)));
}

#[test]
fn the_generation_wraps_around_and_still_tells_the_last_from_this() {
    let mut run = Run::new();
    for recovery in 1..=100_u32 {
        let before = run.word.state().generation;
        run.opens();
        run.probes();
        let healed = run.notes(Sent::AsProbe, Event::Said);
        assert_eq!(u32::from(healed.generation), recovery % 32);
        assert_eq!(run.notes(Sent::Usually(before), FAILED), healed);
        run.notes_usual(Event::Finished);
    }
}

#[test]
fn mending_makes_it_due_or_ends_what_was_sent_to_a_healthy_one() {
    let mut run = Run::new();
    let until = Some(at(5_000));
    run.notes_usual(Event::Refused { until });
    run.now = at(100);
    run.notes(Sent::AsLastResort, Event::Due);
    assert!(matches!(run.word.admit(at(100)), Admit::Due(_)));

    let mut run = Run::new();
    run.notes(Sent::AsLastResort, Event::Due);
    let state = run.notes(Sent::Usually(0), REFUSED);
    assert_eq!((state.phase, state.generation), (Phase::Healthy, 1));
}

/// One of all events, with times around now.
fn any_event(chance: &mut Chance, now: Moment) -> Event {
    let too_many = chance.below(10) == 0;
    match chance.below(7) {
        0 => Event::Cut { too_many },
        1 => Event::Due,
        2 => Event::Failed { too_many },
        3 => Event::Finished,
        4 => Event::NoVerdict,
        5 => Event::Refused {
            until: (chance.below(2) == 0).then(|| at(now.as_millis() + chance.below(9_000))),
        },
        _ => Event::Said,
    }
}

#[test]
fn nothing_but_the_probe_ends_the_probe_and_a_healthy_one_has_none() {
    let rules = rules();
    for seed in 0..200 {
        let mut chance = Chance(seed);
        let mut word = Word::default();
        let mut now = at(0);
        for _ in 0..200 {
            now = at(now.as_millis() + chance.below(3_000));
            if let Admit::Due(claimed) = word.admit(now) {
                word = claimed;
            }
            let was = word.state();
            let from = match chance.below(4) {
                0 if was.probed => Sent::AsProbe,
                1 => Sent::AsLastResort,
                2 => Sent::Usually(was.generation.wrapping_sub(1) & 31),
                _ => Sent::Usually(was.generation),
            };
            let event = any_event(&mut chance, now);
            word = word.after(from, event, now, &rules, chance.bits());
            let is = word.state();
            if from != Sent::AsProbe {
                assert_eq!(is.probed, was.probed, "seed {seed}: {from:?} {event:?}");
            }
            if is.phase == Phase::Healthy {
                assert!(!is.probed && is.until == at(0), "seed {seed}: {is:?}");
                assert!(is.failures < 3 && is.cuts < 127, "seed {seed}: {is:?}");
            }
            if is.phase == Phase::Open && was.phase != Phase::Open {
                // 8 s and a sixteenth, or what a provider said.
                let wait = is.until.from(now).as_millis();
                assert!((1_000..=9_000).contains(&wait), "seed {seed}: {wait}");
            }
        }
    }
}

#[test]
fn an_answer_changes_nothing_where_nothing_was_known() {
    for generation in 0..32 {
        let state = State {
            generation,
            ..Word::default().state()
        };
        let word = state.word();
        assert!(word.is_spotless());
        for from in 0..32 {
            for event in [Event::Said, Event::Finished] {
                let after = word.after(Sent::Usually(from), event, at(7), &rules(), 3);
                assert_eq!(after, word, "{generation} {from} {event:?}");
            }
        }
        for known in [
            State {
                failures: 1,
                ..state
            },
            State { cuts: 1, ..state },
            State { level: 1, ..state },
            State {
                probed: true,
                ..state
            },
            State {
                phase: Phase::Cooling,
                ..state
            },
            State {
                phase: Phase::Open,
                ..state
            },
        ] {
            assert!(!known.word().is_spotless(), "{known:?}");
        }
    }
}
