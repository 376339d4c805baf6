//! What goes wrong on disk, and what of it is lost.

use std::path::Path;

use rusqlite::Connection;

use super::*;

type Make = dyn Fn(&Path);

#[test]
fn a_damaged_frame_is_counted_and_its_segment_kept() {
    let place = Place::new();
    let ledger = place.open_stuck();
    for n in 1..=5 {
        assert_eq!(ledger.append(&usage(&format!("r{n}"))), Ok(n));
    }
    drop(ledger);
    let [segment] = &place.files("frames")[..] else {
        panic!("{:?}", place.files("frames"));
    };
    let mut bytes = fs::read(segment).unwrap();
    let third = bytes.windows(2).position(|two| two == b"r3").unwrap();
    bytes[third] ^= 1;
    fs::write(segment, bytes).unwrap();

    let ledger = place.open();
    ledger.flush().unwrap();
    assert_eq!(ledger.append(&usage("r6")), Ok(6));
    ledger.flush().unwrap();
    let numbers: Vec<u64> = place.rows().iter().map(|row| row.0).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6]);
    assert_eq!(ledger.state().damaged, 1);
    assert_eq!(ledger.state().imported, 6);
    assert_eq!(place.files("damaged").len(), 1);
}

#[test]
fn damage_at_either_end_of_a_segment_is_counted_too() {
    for wanted in ["r1", "r4"] {
        let place = Place::new();
        let ledger = place.open_stuck();
        for n in 1..=4 {
            ledger.append(&usage(&format!("r{n}"))).unwrap();
        }
        drop(ledger);
        // Another process begins another segment.
        let ledger = place.open_stuck();
        ledger.append(&usage("r5")).unwrap();
        drop(ledger);
        let first = &place.files("frames")[0];
        let mut bytes = fs::read(first).unwrap();
        let at = bytes.windows(2).position(|two| two == wanted.as_bytes());
        bytes[at.unwrap()] ^= 1;
        fs::write(first, bytes).unwrap();

        let ledger = place.open();
        ledger.flush().unwrap();
        assert_eq!(ledger.state().damaged, 1, "{wanted}");
        assert_eq!(place.rows().len(), 4);
        assert_eq!(place.files("damaged").len(), 1);
    }
}

#[test]
fn a_torn_tail_is_no_damage_and_its_number_is_given_again() {
    let place = Place::new();
    let ledger = place.open_stuck();
    ledger.append(&usage("r1")).unwrap();
    ledger.append(&usage("torn")).unwrap();
    drop(ledger);
    let segment = place.files("frames").remove(0);
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();

    let ledger = place.open();
    assert_eq!(ledger.append(&usage("r2")), Ok(2));
    ledger.flush().unwrap();
    assert_eq!(place.rows(), [(1, "r1".to_owned()), (2, "r2".to_owned())]);
    assert_eq!(ledger.state().damaged, 0);
    assert!(place.files("damaged").is_empty());
}

#[test]
fn a_locked_database_delays_and_loses_nothing() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append(&usage("before")).unwrap();
    ledger.flush().unwrap();
    let other = Connection::open(&place.config.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    ledger.append(&usage("during")).unwrap();
    place.seconds.fetch_add(60, Ordering::Relaxed);
    let why = ledger.flush().unwrap_err();
    assert!(why.contains("locked"), "{why}");
    let trouble = ledger.state().database.unwrap();
    assert_eq!((trouble.why, trouble.since), (why, at(START + 60)));
    assert_eq!(ledger.state().journal, None);
    // Readers see both all the same.
    assert_eq!(place.rows().len(), 2);
    other.execute_batch("ROLLBACK").unwrap();
    ledger.flush().unwrap();
    assert_eq!(ledger.state().database, None);
    assert_eq!(ledger.state().imported, 2);
    assert_eq!(place.rows().len(), 2);
}

#[test]
fn a_database_that_is_none_stops_the_import_and_not_the_journal() {
    let foreign = |path: &Path| {
        let other = Connection::open(path).unwrap();
        other.execute_batch("CREATE TABLE t (x)").unwrap();
    };
    let newer = |path: &Path| {
        let other = Connection::open(path).unwrap();
        other.pragma_update(None, "user_version", 99).unwrap();
    };
    let older = |path: &Path| {
        let other = Connection::open(path).unwrap();
        other.pragma_update(None, "user_version", 1).unwrap();
    };
    let broken = |path: &Path| fs::write(path, "x".repeat(5000)).unwrap();
    let kinds: [(&str, &Make); 4] = [
        ("no ledger", &foreign),
        ("newer", &newer),
        ("version 1; this standin knows 2: move it away", &older),
        ("not a database", &broken),
    ];
    for (says, make) in kinds {
        let place = Place::new();
        make(&place.config.path);
        // Without a journal nobody knows which numbers are taken.
        let why = place.try_open().unwrap_err();
        assert!(why.contains(says), "{why}");

        fs::remove_file(&place.config.path).unwrap();
        let ledger = place.open();
        ledger.append(&usage("one")).unwrap();
        ledger.flush().unwrap();
        drop(ledger);
        for file in ["usage.db", "usage.db-wal", "usage.db-shm"] {
            let _ = fs::remove_file(place.folder.join(file));
        }
        make(&place.config.path);
        let ledger = place.open();
        assert_eq!(ledger.append(&usage("two")), Ok(2));
        let why = ledger.flush().unwrap_err();
        assert!(why.contains(says), "{why}");
        assert_eq!(ledger.state().database.unwrap().why, why);
        // It is taken away: a new one is made, with all that is still there.
        fs::remove_file(&place.config.path).unwrap();
        ledger.flush().unwrap();
        assert_eq!(place.rows().last().unwrap(), &(2, "two".to_owned()));
        assert_eq!(ledger.state().damaged, 0);
    }
}

#[test]
fn a_database_that_is_ahead_of_its_journal_takes_nothing() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append(&usage("one")).unwrap();
    ledger.flush().unwrap();
    let other = Connection::open(&place.config.path).unwrap();
    let ahead = "UPDATE meta SET value = 50 WHERE name = 'position'";
    other.execute_batch(ahead).unwrap();
    ledger.append(&usage("two")).unwrap();
    let why = ledger.flush().unwrap_err();
    assert!(why.contains("do not belong together"), "{why}");
    drop(ledger);
    // A new process reads the position and goes on behind it.
    let ledger = place.open();
    assert_eq!(ledger.append(&usage("three")), Ok(51));
}

#[test]
fn one_process_writes_a_ledger() {
    let place = Place::new();
    let ledger = place.open();
    let why = place.try_open().unwrap_err();
    assert!(why.contains("another process"), "{why}");
    drop(ledger);
    place.open();
}
