//! One process hands its ledger over to another, and each may die at any
//! moment. The processes here are ledgers of one and the same: what they share
//! are files and locks, as otherwise.

use std::collections::HashSet;

use super::super::adopt::stop_after;
use super::super::folder::{Lock, folder};
use super::super::import::begin;
use super::super::journal::{Journal, SEGMENT};
use super::*;

const SOON: Duration = Duration::from_secs(10);

/// Records of these names, numbered from 1 on without a gap.
fn check(place: &Place, wanted: &[String]) {
    let rows = place.rows();
    assert!(
        (1..=rows.len() as u64).eq(rows.iter().map(|row| row.0)),
        "{rows:?}"
    );
    let ids: HashSet<&String> = rows.iter().map(|row| &row.1).collect();
    assert_eq!(ids.len(), rows.len(), "{rows:?}");
    assert_eq!(ids, wanted.iter().collect());
}

/// Files that wait to be adopted.
fn left(place: &Place) -> usize {
    let files = fs::read_dir(folder(&place.config.path)).unwrap();
    let names = files.map(|file| file.unwrap().file_name());
    names
        .filter(|name| name.to_str().unwrap().starts_with("leaving-"))
        .count()
}

#[test]
fn what_is_left_to_say_is_said_through_the_successor() {
    let place = Place::new();
    let old = place.open();
    let mut all: Vec<String> = (0..5).map(|n| format!("before-{n}")).collect();
    for id in &all {
        old.append(&usage(id)).unwrap();
    }
    assert!(place.try_open().unwrap_err().contains("another process"));
    old.hand_over(SOON).unwrap();
    let new = place.open();
    for n in 0..50 {
        let (left, own) = (format!("left-{n}"), format!("own-{n}"));
        assert_eq!(old.append(&usage(&left)), Ok(0));
        assert!(new.append(&usage(&own)).unwrap() > 5);
        all.extend([left, own]);
        if n % 7 == 0 {
            old.flush().unwrap();
        }
        if n % 5 == 0 {
            new.flush().unwrap();
        }
    }
    drop(old);
    new.flush().unwrap();
    check(&place, &all);
    let state = new.state();
    assert_eq!((state.appended, state.imported), (105, 105));
    assert_eq!((state.damaged, state.database, left(&place)), (0, None, 0));
    drop(new);
    assert_eq!(place.files("frames").len(), 1);
}

#[test]
fn it_is_taken_back_where_nobody_took_it_or_who_did_is_gone() {
    let place = Place::new();
    let old = place.open();
    let mut all = vec![];
    let mut append = |ledger: &Ledger| {
        all.push(format!("r{}", all.len()));
        ledger.append(&usage(all.last().unwrap())).unwrap()
    };
    append(&old);
    for took_it in [false, true, true] {
        old.hand_over(SOON).unwrap();
        assert_eq!(append(&old), 0);
        if took_it {
            let new = place.open();
            append(&new);
            old.take_back();
            let why = old.flush().unwrap_err();
            assert!(why.contains("another process"), "{why}");
            append(&old);
            drop(new);
        }
        old.take_back();
        old.flush().unwrap();
        assert!(append(&old) > 0);
    }
    old.flush().unwrap();
    assert_eq!(old.state().database, None);
    check(&place, &all);
    assert_eq!(left(&place), 0);
}

#[test]
fn several_leave_at_the_same_time() {
    let place = Place::new();
    let mut all = vec![];
    let mut ledgers = vec![place.open()];
    for round in 0..4 {
        ledgers[round].hand_over(SOON).unwrap();
        ledgers.push(place.open());
        for (nth, ledger) in ledgers.iter().enumerate() {
            for n in 0..20 {
                all.push(format!("{round}-{nth}-{n}"));
                ledger.append(&usage(all.last().unwrap())).unwrap();
            }
        }
    }
    let last = ledgers.pop();
    drop(ledgers);
    last.unwrap().flush().unwrap();
    check(&place, &all);
}

#[test]
fn what_a_dead_one_has_torn_takes_nothing_else_with_it() {
    let place = Place::new();
    let old = place.open();
    old.hand_over(SOON).unwrap();
    let path = folder(&place.config.path).join("leaving-1-2-3");
    let mut bytes = Vec::new();
    for id in ["one", "two", "torn"] {
        let mut frame = super::super::frame::encode(&usage(id)).unwrap();
        super::super::frame::number(&mut frame, 0);
        bytes.extend(frame);
    }
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let new = place.open();
    new.append(&usage("three")).unwrap();
    new.flush().unwrap();
    check(&place, &["one", "two", "three"].map(str::to_owned));
    assert_eq!(place.files("damaged").len(), 1);
    // One that never came to say anything.
    fs::write(&path, "").unwrap();
    new.flush().unwrap();
    assert!(!path.exists());
    assert_eq!(new.state().damaged, 0);
}

/// A journal alone, as it begins in a new process.
fn journal(place: &Place) -> Journal {
    let path = place.config.path.clone();
    let mut open: Open = Box::new(move || Ok(Box::new(Store::open(&path)?) as Box<dyn Sink>));
    let lock = Lock::take(&place.config.path).unwrap();
    let (_, floor) = begin(&mut open, &lock).unwrap();
    Journal::open(lock, floor, SEGMENT, place.clock()).unwrap()
}

/// With a journal that has nothing, or something, in its newest segment: it
/// adopts two files and stops after so many steps. Whether it came to its end.
fn adopts(steps: u32, has_own: bool, dies: bool, at_once: bool) -> bool {
    let place = Place::new();
    let mut all = vec![];
    let mut id = |name: &str| {
        all.push(format!("{name}-{}", all.len()));
        all.last().unwrap().clone()
    };
    let old = place.open();
    old.append(&usage(&id("old"))).unwrap();
    old.hand_over(SOON).unwrap();
    for _ in 0..2 {
        old.append(&usage(&id("left"))).unwrap();
        old.append(&usage(&id("left"))).unwrap();
        old.flush().unwrap();
    }
    let mut own = journal(&place);
    if has_own {
        own.append(&usage(&id("own"))).unwrap();
    }
    stop_after(Some(steps));
    let is_done = own.adopt().is_ok();
    stop_after(None);
    if dies {
        drop(own);
        // Whatever was there is readable by everyone, once.
        let rows = place.rows();
        let ids: HashSet<_> = rows.iter().map(|row| &row.1).collect();
        assert_eq!(ids.len(), rows.len());
        own = journal(&place);
    }
    if at_once {
        own.adopt().unwrap();
    }
    own.append(&usage(&id("own"))).unwrap();
    if steps.is_multiple_of(2) {
        own.adopt().unwrap();
        own.append(&usage(&id("own"))).unwrap();
    }
    drop((own, old));
    let new = place.open();
    new.flush().unwrap();
    check(&place, &all);
    assert_eq!((new.state().damaged, left(&place)), (0, 0));
    assert!(place.files("damaged").is_empty());
    is_done
}

#[test]
fn whoever_adopts_may_die_or_fail_at_any_step() {
    for has_own in [false, true] {
        for (dies, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut steps = 0;
            while !adopts(steps, has_own, dies, at_once) {
                steps += 1;
            }
            assert!(steps >= 8, "{steps} steps");
        }
    }
}

#[test]
fn a_segment_stays_until_what_it_came_from_is_gone() {
    let place = Place::new();
    let old = place.open();
    old.hand_over(SOON).unwrap();
    old.append(&usage("left")).unwrap();
    old.flush().unwrap();
    let own = journal(&place);
    // Committed, and the file is still there.
    stop_after(Some(3));
    own.adopt().unwrap_err();
    stop_after(None);
    assert_eq!(left(&place), 1);
    drop(own);
    // Nobody gets at it before.
    let next = journal(&place);
    while next.part().unwrap().end.is_some() {
        assert_eq!(left(&place), 0);
        next.imported(next.part().unwrap().first, false).unwrap();
    }
    assert_eq!(place.files("frames").len(), 1);
}

#[test]
fn each_record_is_there_once_whatever_happens_in_whatever_order() {
    for seed in 1..=20 {
        let place = Place::new();
        let mut dice = Dice(seed * 0x9E37_79B9);
        let mut all: Vec<String> = vec![];
        // The last one writes the ledger, the others leave.
        let mut ledgers = vec![place.open_short()];
        for _ in 0..80 {
            let nth = usize::try_from(dice.roll(ledgers.len() as u64)).unwrap();
            let newest = ledgers.len() - 1;
            match dice.roll(12) {
                0 if ledgers.len() < 4 => {
                    ledgers[newest].hand_over(SOON).unwrap();
                    ledgers.push(place.open_short());
                }
                // The successor fails, and the one before goes on.
                1 if newest > 0 => {
                    ledgers[newest - 1].take_back();
                    ledgers.pop();
                    // As soon as that has its lock.
                    ledgers[newest - 1].flush().unwrap();
                }
                2 if newest > nth => drop(ledgers.remove(nth)),
                3 => ledgers[newest].flush().unwrap(),
                4 => ledgers[nth].flush().unwrap(),
                _ => {
                    all.push(format!("r{}", all.len()));
                    ledgers[nth].append(&usage(all.last().unwrap())).unwrap();
                }
            }
        }
        let last = ledgers.pop();
        drop(ledgers);
        last.unwrap().flush().unwrap();
        check(&place, &all);
    }
}
