//! Every interleaving of three threads at one word.
//!
//! Each thread does whole steps: it admits, then reports. What the word can be
//! in the end is exactly what the steps lead to one after the other, in every
//! order; and never are two probes out.
//!
//! Two checkers run the cell's own code. The first stops a thread before each
//! of its accesses to the word and goes on with every thread in turn; it also
//! lets one exchange of each thread fail for no reason, as a weak one may. It
//! visits everything: there is one word only, and all threads see the changes
//! of one word in one order. The second is loom, which holds the same against
//! a model of memory, but prunes its search by more than it may: it does not
//! come to every end, so it can only say that those it sees are right.
//!
//! 1.4 million interleavings by the first, 16,642 executions by loom; the
//! tests hold that it stays in that order.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;

use super::house::{at, rules};
use crate::health::word::{Admit, Event, Phase, Sent, State, Word};
use crate::health::{Atom, Cell, Claimed};

/// The checker's word, in the same order of memory as the real one.
struct Checked(AtomicU64);

impl Atom for Checked {
    fn new(bits: u64) -> Self {
        Self(AtomicU64::new(bits))
    }

    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn exchange(&self, was: u64, is: u64) -> Result<(), u64> {
        self.0
            .compare_exchange_weak(was, is, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

/// When it all happens: the probe of `due` is due.
const NOW: u64 = 5_000;

const FAILED: Event = Event::Failed { too_many: false };
const CUT: Event = Event::Cut { too_many: false };
const REFUSED: Event = Event::Refused { until: None };
const REFUSED_LONG: Event = Event::Refused {
    until: Some(crate::health::Moment::from_millis(60_000)),
};

/// What a thread does.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Admits a request; where it is let through, that ends so.
    Asks(Event),
    /// Has a request on its way already, and that ends so.
    Ends(Sent, Event),
}

fn noted(word: Word, from: Sent, event: Event) -> Word {
    word.after(from, event, at(NOW), &rules(), 0)
}

fn due() -> Word {
    State {
        phase: Phase::Open,
        failures: 3,
        level: 1,
        until: at(1_000),
        ..State::default()
    }
    .word()
}

/// A thread of the sequential runs: what it has still to do.
#[derive(Clone, Copy)]
enum Step {
    Admit(Event),
    Note(Sent, Event),
    Done,
}

/// What the word can be in the end if every step is taken at once.
fn in_sequence(word: Word, steps: [Step; 3], into: &mut BTreeSet<u64>) {
    let mut is_end = true;
    for thread in 0..3 {
        let (next, step) = match steps[thread] {
            Step::Done => continue,
            Step::Note(from, event) => (noted(word, from, event), Step::Done),
            Step::Admit(event) => match word.admit(at(NOW)) {
                Admit::Pass => (
                    word,
                    Step::Note(Sent::Usually(word.state().generation), event),
                ),
                Admit::Due(claimed) => (claimed, Step::Note(Sent::AsProbe, event)),
                Admit::Cooling(_) | Admit::Open(_) | Admit::Probing => (word, Step::Done),
            },
        };
        is_end = false;
        let mut steps = steps;
        steps[thread] = step;
        in_sequence(next, steps, into);
    }
    if is_end {
        into.insert(word.bits());
    }
}

/// What an access to the word said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Heard {
    Loaded(u64),
    Exchanged(Result<(), u64>),
    /// An exchange that failed for no reason.
    Failed(u64),
}

/// A thread that is run again from its start: what it has heard so far, then
/// one access more.
#[derive(Default)]
struct Replay {
    heard: Vec<Heard>,
    next: usize,
    may_access: bool,
    fails: bool,
    memory: u64,
    probes: bool,
}

thread_local! {
    static REPLAY: RefCell<Replay> = RefCell::default();
}

/// The thread has had its one access and stops before the next.
struct Stop;

/// A word that replays.
struct Replayed;

impl Replayed {
    fn access(access: impl FnOnce(&mut Replay) -> Heard) -> Heard {
        let heard = REPLAY.with_borrow_mut(|replay| {
            if replay.next == replay.heard.len() {
                if !std::mem::take(&mut replay.may_access) {
                    return None;
                }
                let heard = access(replay);
                replay.heard.push(heard);
            }
            replay.next += 1;
            replay.heard.get(replay.next - 1).copied()
        });
        heard.unwrap_or_else(|| resume_unwind(Box::new(Stop)))
    }
}

impl Atom for Replayed {
    fn new(_: u64) -> Self {
        Self
    }

    fn load(&self) -> u64 {
        match Self::access(|replay| Heard::Loaded(replay.memory)) {
            Heard::Loaded(bits) => bits,
            other @ (Heard::Exchanged(_) | Heard::Failed(_)) => {
                panic!("the replay differs: {other:?}")
            }
        }
    }

    fn exchange(&self, was: u64, is: u64) -> Result<(), u64> {
        let heard = Self::access(|replay| {
            if replay.memory != was {
                Heard::Exchanged(Err(replay.memory))
            } else if replay.fails {
                Heard::Failed(was)
            } else {
                replay.memory = is;
                Heard::Exchanged(Ok(()))
            }
        });
        match heard {
            Heard::Exchanged(told) => told,
            Heard::Failed(now) => Err(now),
            Heard::Loaded(_) => panic!("the replay differs: {heard:?}"),
        }
    }
}

/// Where one thread stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Stands {
    heard: Vec<Heard>,
    is_done: bool,
    probes: bool,
}

/// The thread after one access more, and the word after it.
fn stepped(does: Does, stands: &Stands, memory: u64, fails: bool) -> (Stands, u64) {
    REPLAY.set(Replay {
        heard: stands.heard.clone(),
        may_access: true,
        fails,
        memory,
        ..Replay::default()
    });
    let probes = |is| REPLAY.with_borrow_mut(|replay| replay.probes = is);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runs(&Cell::<Replayed>::default(), does, probes)
    }));
    let is_done = match ran {
        Ok(()) => true,
        Err(why) if why.is::<Stop>() => false,
        Err(why) => resume_unwind(why),
    };
    let after = REPLAY.take();
    let stands = Stands {
        heard: after.heard,
        is_done,
        probes: after.probes,
    };
    (stands, after.memory)
}

/// A search through all that three threads can do.
struct Search {
    threads: [Does; 3],
    /// In how many ways it goes on from here.
    ways: HashMap<(u64, [Stands; 3]), u64>,
    ends: BTreeSet<u64>,
}

impl Search {
    fn explored(start: Word, threads: [Does; 3]) -> (u64, BTreeSet<u64>) {
        let mut search = Self {
            threads,
            ways: HashMap::new(),
            ends: BTreeSet::new(),
        };
        let begin = threads.map(|does| Stands {
            probes: matches!(does, Does::Ends(Sent::AsProbe, _)),
            ..Stands::default()
        });
        let ways = search.ways_from(start.bits(), begin);
        (ways, search.ends)
    }

    fn ways_from(&mut self, memory: u64, stand: [Stands; 3]) -> u64 {
        let probes = stand.iter().filter(|stands| stands.probes).count();
        assert!(probes < 2, "{:?}: two probes in {stand:?}", self.threads);
        if stand.iter().all(|stands| stands.is_done) {
            self.ends.insert(memory);
            return 1;
        }
        let here = (memory, stand);
        if let Some(ways) = self.ways.get(&here) {
            return *ways;
        }
        let mut ways = 0;
        for thread in 0..3 {
            let stands = &here.1[thread];
            if stands.is_done {
                continue;
            }
            let failed = |stands: &Stands| {
                let mut heard = stands.heard.iter();
                heard.any(|heard| matches!(heard, Heard::Failed(_)))
            };
            for fails in [false, true] {
                if fails && failed(stands) {
                    continue;
                }
                let (next, memory) = stepped(self.threads[thread], stands, memory, fails);
                if fails && !failed(&next) {
                    continue;
                }
                let mut stand = here.1.clone();
                stand[thread] = next;
                ways += self.ways_from(memory, stand);
            }
        }
        self.ways.insert(here, ways);
        ways
    }
}

/// Runs a thread; `probes` hears when it has and no longer has the probe's
/// place.
fn runs<A: Atom>(cell: &Cell<A>, does: Does, probes: impl Fn(bool)) {
    let (from, event) = match does {
        Does::Ends(from, event) => (from, event),
        Does::Asks(event) => match cell.admit(at(NOW)) {
            Ok(Claimed::Nothing(word)) => (Sent::Usually(word.state().generation), event),
            Ok(Claimed::Probe) => (Sent::AsProbe, event),
            Err(_) => return,
        },
    };
    let is_probe = from == Sent::AsProbe;
    if is_probe {
        probes(true);
    }
    cell.change(|word| noted(word, from, event));
    if is_probe {
        probes(false);
    }
}

/// What the threads' steps lead to, one after the other.
fn sequential(start: Word, threads: [Does; 3]) -> BTreeSet<u64> {
    let steps = threads.map(|does| match does {
        Does::Asks(event) => Step::Admit(event),
        Does::Ends(from, event) => Step::Note(from, event),
    });
    let mut ends = BTreeSet::new();
    in_sequence(start, steps, &mut ends);
    ends
}

/// Holds all that can happen against the sequential runs. Says in how many
/// ways it can.
fn check(start: Word, threads: [Does; 3]) -> u64 {
    let (ways, found) = Search::explored(start, threads);
    for bits in &found {
        let state = Word::from_bits(*bits).state();
        assert!(!state.probed, "{threads:?} end in {state:?}");
    }
    assert_eq!(found, sequential(start, threads), "{threads:?}");
    ways
}

const USUAL: Sent = Sent::Usually(0);

#[test]
fn three_failures_at_once_are_three_failures() {
    for event in [FAILED, CUT] {
        let (ways, found) = Search::explored(Word::default(), [Does::Ends(USUAL, event); 3]);
        assert!(ways > 90, "{ways}");
        assert_eq!(found.len(), 1);
        let end = Word::from_bits(*found.first().unwrap()).state();
        assert_eq!(end.failures + end.cuts, 3);
        assert_eq!(end.phase, Phase::Open);
    }
}

#[test]
fn whatever_three_that_ask_when_a_probe_is_due_come_to_no_two_probes_are_out() {
    let mut ways = 0;
    let ends = [
        Event::Said,
        FAILED,
        CUT,
        REFUSED,
        REFUSED_LONG,
        Event::NoVerdict,
    ];
    for first in ends {
        for second in ends {
            let threads = [Does::Asks(first), Does::Asks(second), Does::Asks(FAILED)];
            ways += check(due(), threads);
        }
    }
    assert!(ways > 600_000, "{ways}");
}

#[test]
fn nothing_that_others_report_meanwhile_ends_or_doubles_a_probe() {
    let Admit::Due(probed) = due().admit(at(NOW)) else {
        panic!("it is due");
    };
    let others = [
        Does::Ends(USUAL, FAILED),
        Does::Ends(USUAL, REFUSED_LONG),
        Does::Ends(Sent::AsLastResort, Event::Said),
        Does::Ends(Sent::AsLastResort, REFUSED),
        Does::Ends(Sent::AsLastResort, Event::Due),
        Does::Asks(Event::NoVerdict),
    ];
    let mut ways = 0;
    for end in [Event::Said, FAILED, REFUSED, Event::NoVerdict] {
        for other in others {
            let threads = [Does::Ends(Sent::AsProbe, end), other, Does::Asks(FAILED)];
            ways += check(probed, threads);
        }
    }
    assert!(ways > 5_000, "{ways}");
}

#[test]
fn a_healthy_word_takes_every_report_of_three_threads_in_some_order() {
    let events = [
        Event::Said,
        Event::Finished,
        FAILED,
        CUT,
        REFUSED,
        Event::Due,
    ];
    let start = noted(noted(Word::default(), USUAL, FAILED), USUAL, CUT);
    let mut ways = 0;
    for first in events {
        for second in events {
            let threads = [
                Does::Ends(USUAL, first),
                Does::Ends(USUAL, second),
                Does::Asks(FAILED),
            ];
            ways += check(start, threads);
        }
    }
    assert!(ways > 600_000, "{ways}");
}

/// Runs three threads under loom; says how many executions that took.
fn loomed(start: Word, threads: [Does; 3]) -> usize {
    let runs_so_far = std::sync::Arc::new(AtomicUsize::new(0));
    let ends = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let (counted, found) = (runs_so_far.clone(), ends.clone());
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let cell = Arc::new(Cell::<Checked>::default());
        cell.change(|_| start);
        // Not the checker's: it watches and is no part of what is checked.
        let out = std::sync::Arc::new(AtomicU32::new(0));
        let watched = |cell: &Cell<Checked>, does, out: &AtomicU32| {
            // Between two accesses to the word no other thread runs.
            runs(cell, does, |is| {
                if is {
                    assert_eq!(out.fetch_add(1, Ordering::SeqCst), 0, "two probes");
                } else {
                    out.fetch_sub(1, Ordering::SeqCst);
                }
            });
        };
        let others = [threads[1], threads[2]].map(|does| {
            let (cell, out) = (cell.clone(), out.clone());
            loom::thread::spawn(move || watched(&cell, does, &out))
        });
        watched(&cell, threads[0], &out);
        for other in others {
            other.join().unwrap();
        }
        found.lock().unwrap().insert(cell.word().bits());
    });
    let found = ends.lock().unwrap();
    assert!(!found.is_empty() && found.is_subset(&sequential(start, threads)));
    runs_so_far.load(Ordering::Relaxed)
}

#[test]
fn under_a_model_of_memory_no_failure_is_lost_and_no_second_probe_is_out() {
    let mut executions = loomed(Word::default(), [Does::Ends(USUAL, FAILED); 3]);
    executions += loomed(
        due(),
        [
            Does::Asks(Event::NoVerdict),
            Does::Asks(FAILED),
            Does::Ends(USUAL, FAILED),
        ],
    );
    assert!(executions > 1_000, "{executions}");
}
