//! Numbers, segments, retention.

use super::*;

#[test]
fn numbers_go_on_after_a_restart_whatever_is_left() {
    let place = Place::new();
    for n in 1..=3 {
        let ledger = place.open();
        assert_eq!(ledger.append(&usage("x")), Ok(n));
        drop(ledger);
        // All of it was imported, and one segment stays to keep the number.
        assert_eq!(place.files("frames").len(), 1);
    }
    // Without the database the journal knows, and the other way round.
    fs::remove_file(&place.config.path).unwrap();
    let ledger = place.open();
    assert_eq!(ledger.append(&usage("x")), Ok(4));
    drop(ledger);
    fs::remove_dir_all(folder::folder(&place.config.path)).unwrap();
    assert_eq!(place.open().append(&usage("x")), Ok(5));
}

#[test]
fn nothing_appended_leaves_one_empty_segment() {
    let place = Place::new();
    for _ in 0..3 {
        drop(place.open());
        assert_eq!(place.files("frames").len(), 1);
    }
    assert_eq!(place.rows(), []);
}

#[test]
fn segments_follow_each_other_and_go_when_imported() {
    let place = Place::new();
    let ledger = place.open_stuck();
    for n in 0..120 {
        ledger.append(&usage(&format!("r{n}"))).unwrap();
    }
    assert!(place.files("frames").len() > 5);
    // A reader needs no database.
    let totals = place.reader().totals(at(0), By::Model).unwrap();
    assert_eq!(totals[&Some("openai/gpt-4o".to_owned())].requests, 120);
    drop(ledger);
    let ledger = place.open_short();
    ledger.flush().unwrap();
    assert_eq!(place.files("frames").len(), 1);
    let rows = place.rows();
    assert!((1..=120).eq(rows.iter().map(|row| row.0)));
    assert!(
        rows.iter()
            .enumerate()
            .all(|(n, row)| row.1 == format!("r{n}"))
    );
}

#[test]
fn all_threads_records_are_there_once_and_numbered_densely() {
    let place = Place::new();
    let ledger = place.open_short();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut last = 0;
                for n in 0..250 {
                    let id = format!("{thread}-{n}");
                    let seq = ledger.append(&usage(&id)).unwrap();
                    assert!(seq > last);
                    last = seq;
                }
            });
        }
        for _ in 0..20 {
            ledger.flush().unwrap();
        }
    });
    ledger.flush().unwrap();
    let rows = place.rows();
    assert!((1..=2000).eq(rows.iter().map(|row| row.0)));
    let ids: std::collections::HashSet<_> = rows.iter().map(|row| &row.1).collect();
    assert_eq!(ids.len(), 2000);
    assert_eq!(ledger.state().damaged, 0);
}

#[test]
fn old_rows_go_by_whole_hours_and_are_told_no_more() {
    let mut place = Place::new();
    place.config.retention = Some(Duration::from_hours(2));
    let ledger = place.open();
    // Half past noon; and one a minute for the next three hours.
    for minute in 0..180 {
        let mut one = record("x");
        one.time = at(START + minute * 60);
        ledger.append(&Entry::Usage(one)).unwrap();
        let mut gone = thrown_away("x");
        gone.time = at(START + minute * 60);
        ledger.append(&Entry::Discarded(gone)).unwrap();
    }
    ledger.flush().unwrap();
    assert_eq!(place.rows().len(), 180);
    // 15:40: what is from before 13:00 goes.
    place.seconds.store(START + 190 * 60, Ordering::Relaxed);
    ledger.flush().unwrap();
    assert_eq!(place.rows().len(), 150);
    let reader = place.reader();
    let totals = reader.totals(at(0), By::Key).unwrap();
    assert_eq!(totals[&Some("team".to_owned())].requests, 150);
    assert_eq!(reader.discarded(at(0)).unwrap().len(), 150);
    // Numbers go on.
    assert_eq!(ledger.append(&usage("x")), Ok(361));
}

#[test]
fn old_rows_go_in_steps_and_the_hours_that_say_where_they_are_go_last() {
    const HOUR: u64 = 3600;
    let place = Place::new();
    let mut store = Store::open(&place.config.path).unwrap();
    let records: Vec<Record<'_>> = (0..10_u64)
        .map(|n| Record {
            time: at(START + HOUR * (n / 4)),
            ..record("r")
        })
        .collect();
    let numbered = (1..).zip(records.into_iter().map(Entry::Usage));
    let batch: Vec<(u64, Entry<'_>)> = numbered.collect();
    store.take(0, 10, &batch).unwrap();
    // Eight rows are of the first two hours.
    let before = i64::try_from((START + 2 * HOUR) * 1000).unwrap();
    let left = || {
        let database = rusqlite::Connection::open(&place.config.path).unwrap();
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            database
                .query_row(&sql, [], |row| row.get::<_, u32>(0))
                .unwrap()
        };
        (count("usage"), count("hourly"))
    };
    assert_eq!(left(), (10, 3));
    for (most, gone, rows, hours) in [(3, 3, 7, 3), (5, 5, 2, 3), (5, 0, 2, 1), (5, 0, 2, 1)] {
        assert_eq!(store.trim(before, most), Ok(gone));
        assert_eq!(left(), (rows, hours));
    }
}
