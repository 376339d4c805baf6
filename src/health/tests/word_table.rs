//! Every event in every phase from every kind of request, written as a table
//! from the contract's sentences and not from the code.

use super::house::{at, rules};
use crate::health::word::{Event, Phase, Sent, State};

const NOW: u64 = 6_000;
/// When a provider says that it is back.
const SAID: u64 = 36_000;
const GENERATION: u8 = 7;

const USUAL: Sent = Sent::Usually(GENERATION);
/// Sent before the last recovery.
const STALE: Sent = Sent::Usually(GENERATION - 1);

const EVENTS: [Event; 10] = [
    Event::Said,
    Event::Finished,
    Event::Failed { too_many: false },
    Event::Failed { too_many: true },
    Event::Cut { too_many: false },
    Event::Cut { too_many: true },
    Event::Refused { until: None },
    Event::Refused {
        until: Some(at_said()),
    },
    Event::NoVerdict,
    Event::Due,
];

const fn at_said() -> crate::health::Moment {
    crate::health::Moment::from_millis(SAID)
}

/// A row of the table: where it starts, who reports, and what each event
/// changes. `f` failures, `c` cuts, `l` level, `g` generation, each `+` one
/// more or `0`; `free`: the probe's place; `due`: at once, where it was not
/// yet; `4s`, `said`: not before then.
struct Row {
    phase: Phase,
    probed: bool,
    /// Milliseconds.
    until: u64,
    from: Sent,
    changes: [&'static str; 10],
}

fn rows() -> Vec<Row> {
    let row = |phase, probed, until, from, changes| Row {
        phase,
        probed,
        until,
        from,
        changes,
    };
    let (fails, opens) = ("f+", "f+ open 4s l+");
    let (cut, opens_by_cut) = ("c+", "c+ open 4s l+");
    let cools = "cooling 4s l+";
    #[rustfmt::skip]
    let mut rows = vec![
        //                                            said  finished failed too many    cut  too many      refused with a time     no verdict due
        row(Phase::Healthy, false, 0, USUAL,              ["f0", "c0 l0", fails, opens, cut, opens_by_cut, cools, "cooling said", "", "g+"]),
        row(Phase::Healthy, false, 0, STALE,              ["", "", "", "", "", "", "", "cooling said", "", "g+"]),
        row(Phase::Healthy, false, 0, Sent::AsLastResort, ["f0", "c0 l0", "", "", "", "", cools, "cooling said", "", "g+"]),
    ];
    for until in [NOW - 1_000, NOW, NOW + 14_000, SAID + 9_000] {
        for (phase, last_resort_said) in [(Phase::Cooling, ""), (Phase::Open, "due")] {
            for probed in [false, true] {
                for (from, said) in [
                    (USUAL, ""),
                    (STALE, ""),
                    (Sent::AsLastResort, last_resort_said),
                ] {
                    let changes = [said, "", "", "", "", "", "", "said", "", "due"];
                    rows.push(row(phase, probed, until, from, changes));
                }
            }
            let said = if until > NOW {
                "free"
            } else {
                "free healthy f0 g+"
            };
            let changes = [
                said,
                "",
                "free f+ open 4s l+",
                "free f+ open 4s l+",
                "free c+ open 4s l+",
                "free c+ open 4s l+",
                "free cooling 4s l+",
                "free cooling said",
                "free",
                "due",
            ];
            rows.push(row(phase, true, until, Sent::AsProbe, changes));
        }
    }
    rows
}

fn changed(mut state: State, changes: &str) -> State {
    for change in changes.split_whitespace() {
        match change {
            "f+" => state.failures += 1,
            "f0" => state.failures = 0,
            "c+" => state.cuts += 1,
            "c0" => state.cuts = 0,
            "l+" => state.level += 1,
            "l0" => state.level = 0,
            "g+" => state.generation += 1,
            "free" => state.probed = false,
            "healthy" => {
                state.phase = Phase::Healthy;
                state.until = at(0);
            }
            "cooling" => state.phase = Phase::Cooling,
            "open" => state.phase = Phase::Open,
            "due" => state.until = state.until.min(at(NOW)),
            "4s" => state.until = state.until.max(at(NOW + 4_000)),
            "said" => state.until = state.until.max(at(SAID)),
            other => panic!("the table knows no {other}"),
        }
    }
    state
}

#[test]
fn every_event_in_every_phase_does_what_the_table_says() {
    for row in rows() {
        let start = State {
            phase: row.phase,
            probed: row.probed,
            failures: 1,
            cuts: 1,
            level: 2,
            generation: GENERATION,
            until: at(row.until),
        };
        for (event, changes) in EVENTS.into_iter().zip(row.changes) {
            let word = start.word().after(row.from, event, at(NOW), &rules(), 0);
            assert_eq!(
                word.state(),
                changed(start, changes),
                "{event:?} from {:?} in {start:?} should be: {changes}",
                row.from
            );
        }
    }
}
