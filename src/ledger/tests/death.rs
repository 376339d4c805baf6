//! Another process that dies in the midst of it, and one on a full disk.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

const FOLDER: &str = "STANDIN_TEST_LEDGER";

/// Runs one of the ignored tests below in a process of its own, with a
/// prefix of its command line.
fn child(test: &str, place: &Place, before: &str) -> Child {
    let me = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(me)
        .args([&format!("ledger::tests::death::{test}"), "--exact"])
        .args(["--ignored", "--nocapture"])
        .env(FOLDER, &place.folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The place that the parent has made, which cleans it up.
fn of_the_parent() -> std::mem::ManuallyDrop<Place> {
    let folder = std::env::var_os(FOLDER).unwrap();
    std::mem::ManuallyDrop::new(Place::at(folder.into()))
}

#[test]
#[ignore = "the child of the next test"]
fn appends_until_it_is_killed() {
    let place = of_the_parent();
    let ledger = place.open_short();
    let mut out = std::io::stdout();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Always amid an import.
            while ledger.flush().is_ok() {}
        });
        for n in 0.. {
            let id = format!("{}-{n}", std::process::id());
            let seq = ledger.append(&usage(&id)).unwrap();
            out.write_all(format!("acknowledged {seq} {id}\n").as_bytes())
                .unwrap();
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let place = Place::new();
    let mut acknowledged: HashMap<u64, String> = HashMap::new();
    let mut dice = Dice(0xDEAD);
    for round in 0..20 {
        let mut child = child("appends_until_it_is_killed", &place, "");
        let out = BufReader::new(child.stdout.take().unwrap());
        let until = 1 + dice.roll(400);
        let mut seen = 0;
        for line in out.lines() {
            let line = line.unwrap();
            let Some((_, said)) = line.split_once("acknowledged ") else {
                continue;
            };
            let (seq, id) = said.split_once(' ').unwrap();
            let before = acknowledged.insert(seq.parse().unwrap(), id.to_owned());
            assert_eq!(before, None, "round {round}: a number given twice");
            seen += 1;
            if seen == until {
                // What it said before its death is still read.
                child.kill().unwrap();
            }
        }
        assert!(seen >= until, "round {round}: it ended by itself");
        child.wait().unwrap();
    }
    // Read as it was left, and again when all has been brought over.
    let left = place.rows();
    let ledger = place.open_short();
    ledger.flush().unwrap();
    assert_eq!(ledger.state().damaged, 0);
    let rows = place.rows();
    assert_eq!(left, rows);
    let by_number: HashMap<u64, &String> = rows.iter().map(|row| (row.0, &row.1)).collect();
    for (seq, id) in &acknowledged {
        assert_eq!(by_number.get(seq), Some(&id));
    }
    let ids: std::collections::HashSet<_> = rows.iter().map(|row| &row.1).collect();
    assert_eq!(ids.len(), rows.len(), "no row is there twice");
    // At most the last one of each round was not told any more.
    assert!(rows.len() <= acknowledged.len() + 20);
    let totals = place.reader().totals(at(0), By::Key).unwrap();
    assert_eq!(totals[&Some("team".to_owned())].requests, rows.len() as u64);
}

#[test]
#[ignore = "the child of the next test"]
fn appends_to_a_full_disk() {
    let place = of_the_parent();
    // Segments do not end before the disk does, and the database is on
    // another one.
    let open: Open = Box::new(|| Ok(Box::new(Stuck) as Box<dyn Sink>));
    let ledger = Ledger::with(&place.config, open, u64::MAX, place.clock()).unwrap();
    let mut durable = 0;
    let why = loop {
        match ledger.append(&usage(&format!("r{durable}"))) {
            Ok(seq) => durable = seq,
            Err(why) => break why,
        }
    };
    assert!(matches!(why, AppendError::Waits(_)), "{why}");
    assert!(durable > 10);
    assert_eq!(ledger.state().journal.unwrap().since, at(START));
    let mut waiting = 1;
    while let Err(AppendError::Waits(_)) = ledger.append(&usage(&format!("r{}", durable + waiting)))
    {
        waiting += 1;
    }
    let state = ledger.state();
    assert_eq!((state.waiting as u64, state.lost), (waiting, 1));
    assert_eq!(state.appended, durable);

    let (_, most) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, most, most).unwrap();
    let id = format!("r{}", durable + waiting);
    assert_eq!(ledger.append(&usage(&id)), Ok(durable + waiting + 1));
    let state = ledger.state();
    assert_eq!((state.journal, state.waiting, state.lost), (None, 0, 1));
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_that_was_acknowledged() {
    let place = Place::new();
    // A signal that is ignored stays so over exec.
    let full = "trap '' XFSZ; ulimit -S -f 64;";
    let out = child("appends_to_a_full_disk", &place, full).wait_with_output();
    let out = out.unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
    let ledger = place.open();
    ledger.flush().unwrap();
    let rows = place.rows();
    assert!(rows.len() > 4096);
    for (at, (seq, id)) in rows.iter().enumerate() {
        assert_eq!((*seq, id), (at as u64 + 1, &format!("r{at}")));
    }
    assert_eq!(ledger.state().damaged, 0);
}
