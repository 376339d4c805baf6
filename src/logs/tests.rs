//! Lines and their way out, with an end that tests hold in their hand.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use log::kv::{Error, Key, ToValue, Value as Field, VisitSource};
use log::{Log as _, Record};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use super::*;
use crate::usage::Usd;

/// How long anything may take before a test counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

const ODD: &str = "a\"b\\c\r\n\t\u{0}\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{2028}\u{202e}é漢😀\u{e0041}";

/// What has been written, and what becomes of the next write.
#[derive(Default)]
struct End {
    bytes: Vec<u8>,
    writes: usize,
    is_shut: bool,
    /// Takes so many bytes, then fails like this, once.
    fails: Option<(usize, ErrorKind)>,
}

#[derive(Clone, Default)]
struct Hand(Arc<(Mutex<End>, Condvar)>);

impl Hand {
    fn shut(&self, is_shut: bool) {
        self.0.0.lock().is_shut = is_shut;
        self.0.1.notify_all();
    }

    fn fails(&self, after: usize, with: ErrorKind) {
        self.0.0.lock().fails = Some((after, with));
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().bytes.clone()).unwrap()
    }

    fn writes(&self) -> usize {
        self.0.0.lock().writes
    }
}

impl Write for Hand {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.0.0.lock();
        end.writes += 1;
        self.0.1.wait_while(&mut end, |end| end.is_shut);
        match end.fails.take() {
            None => end.bytes.extend_from_slice(bytes),
            Some((0, kind)) => return Err(kind.into()),
            Some((after, kind)) => {
                let taken = after.min(bytes.len());
                end.bytes.extend_from_slice(&bytes[..taken]);
                end.fails = Some((after - taken, kind));
                return Ok(taken);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn started(format: LogFormat) -> (Log, Hand) {
    let hand = Hand::default();
    (Log::new(format, hand.clone()).unwrap(), hand)
}

fn says(log: &Log, level: Level, target: &str, fields: &dyn log::kv::Source, what: &str) {
    let args = format_args!("{what}");
    let mut record = Record::builder();
    record.level(level).target(target).key_values(fields);
    log.log(&record.args(args).build());
}

/// Everything that a line may hold, of names that are not nice.
fn odd(line: &mut Line<'_>) {
    line.text("name", ODD);
    line.number("most", u64::MAX);
    line.number("none", 0);
    line.flag("flag", true);
    line.money("usd", Usd::from_pico(1_500_000_000_000));
    line.hex("trace", 0x0abc, 32);
}

#[test]
fn a_json_line_is_one_object_whatever_the_names() {
    let (log, hand) = started(LogFormat::Json);
    log.write(Level::Info, ODD, false, odd);
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    let line = text.strip_suffix('\n').unwrap();
    assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
    assert!(!line.contains(['\u{2028}', '\u{202e}', '\u{e0041}']));
    let told: Value = serde_json::from_str(line).unwrap();
    assert_eq!(told["message"], ODD);
    assert_eq!(told["name"], ODD);
    assert_eq!(told["most"], u64::MAX);
    assert_eq!(told["none"], 0);
    assert_eq!(told["flag"], true);
    assert_eq!(told["usd"], "1.50");
    assert_eq!(told["trace"], "00000000000000000000000000000abc");
    assert!(told["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_text_line_is_one_line_whatever_the_names() {
    let (log, hand) = started(LogFormat::Text);
    log.write(Level::Warn, "request", false, odd);
    log.write(Level::Warn, "request", false, |line| {
        line.text("name", "a b");
        line.text("none", "");
        line.text("more", "a=b");
        line.text("plain", "openai/gpt-4o:x");
    });
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains(" WARN  request name=\"a\\\"b\\\\c\\r\\n"));
    assert!(lines[0].ends_with(" usd=1.50 trace=00000000000000000000000000000abc"));
    assert!(
        lines[1].ends_with("request name=\"a b\" none=\"\" more=\"a=b\" plain=openai/gpt-4o:x")
    );
    assert_eq!(lines.len(), 2);
    let is_odd = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{202e}".contains(c));
    assert!(!text.contains(is_odd), "{text:?}");
}

#[test]
fn rows_of_one_sentence_cannot_pass_for_lines() {
    let (log, hand) = started(LogFormat::Text);
    let what = "problems:\n2026-03-01T12:30:45.678Z ERROR forged\u{1b}[2J\r";
    says(&log, Level::Error, "standin", &None::<(&str, u64)>, what);
    assert!(log.flush(PATIENCE));
    let rest = hand.text()[24..].to_owned();
    assert_eq!(
        rest,
        " ERROR problems:\n    2026-03-01T12:30:45.678Z ERROR forged\\u{1b}[2J\\r\n"
    );
}

/// Fields as the house's records have them.
struct Fields;

impl log::kv::Source for Fields {
    fn visit<'kvs>(&'kvs self, to: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        to.visit_pair(Key::from_str("event"), Field::from("state"))?;
        to.visit_pair(Key::from_str("for_ms"), Field::from(7_u64))?;
        to.visit_pair(Key::from_str("count"), Field::from(8_usize))?;
        to.visit_pair(Key::from_str("known"), Field::from(true))?;
        to.visit_pair(Key::from_str("why"), Some("cut").to_value())?;
        to.visit_pair(Key::from_str("none"), None::<u64>.to_value())?;
        to.visit_pair(Key::from_str("at"), Field::from_display(&"[::1]:80"))
    }
}

#[test]
fn a_record_has_its_fields_in_json_and_its_sentence_in_text() {
    let (log, hand) = started(LogFormat::Json);
    says(&log, Level::Warn, "standin::health", &Fields, "it is so");
    assert!(log.flush(PATIENCE));
    let line: Value = serde_json::from_str(&hand.text()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "it is so");
    assert_eq!(line["event"], "state");
    assert_eq!(line["for_ms"], 7);
    assert_eq!(line["count"], 8);
    assert_eq!(line["known"], true);
    assert_eq!(line["why"], "cut");
    assert!(line.get("none").is_none());
    assert_eq!(line["at"], "[::1]:80");
    log.wear(LogFormat::Text);
    says(&log, Level::Warn, "standin::health", &Fields, "it is so");
    assert!(log.flush(PATIENCE));
    assert!(hand.text().ends_with("Z WARN  it is so\n"));
}

#[test]
fn what_a_library_says_is_kept_back() {
    let (log, hand) = started(LogFormat::Json);
    for target in ["h2::codec", "rustls::conn", "standinn", "standin_x", ""] {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Trace] {
            says(&log, level, target, &Fields, "sk-secret");
        }
    }
    says(&log, Level::Trace, "standin", &Fields, "ours");
    says(
        &log,
        Level::Trace,
        "standin::front",
        &Fields,
        "ours as well",
    );
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    assert!(!text.contains("sk-secret"), "{text}");
    assert_eq!(text.matches("ours").count(), 2);
}

#[test]
fn lines_of_many_threads_stay_whole_and_in_order() {
    let (log, hand) = started(LogFormat::Json);
    std::thread::scope(|scope| {
        for thread in 0..16_u64 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..1000_u64 {
                    log.write(Level::Info, "request", false, |line| {
                        line.number("thread", thread);
                        line.number("number", number);
                        // All of them fit, however late they are written.
                        line.text("name", ODD);
                    });
                }
            });
        }
    });
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    let mut next = [0; 16];
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let thread = usize::try_from(line["thread"].as_u64().unwrap()).unwrap();
        assert_eq!(line["number"], next[thread]);
        next[thread] += 1;
    }
    assert_eq!(next, [1000; 16]);
    assert!(hand.writes() < 16_000, "lines go out together");
}

#[test]
fn nobody_waits_for_an_end_that_takes_nothing() {
    let (log, hand) = started(LogFormat::Json);
    hand.shut(true);
    log.write(Level::Info, "first", true, |_| ());
    let long = "x".repeat(10_000);
    for number in 0..2000 {
        log.write(Level::Info, "request", false, |line| {
            line.number("number", number);
            line.text("long", &long);
        });
    }
    assert!(!log.flush(Duration::from_millis(1)), "it cannot be written");
    hand.shut(false);
    assert!(log.flush(PATIENCE));
    log.write(Level::Info, "last", true, |_| ());
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    let lines = text.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kept = lines.iter().filter(|line| line["message"] == "request");
    let kept: Vec<u64> = kept.map(|line| line["number"].as_u64().unwrap()).collect();
    let [.., told, last] = &lines[..] else {
        panic!("{} lines", lines.len());
    };
    assert_eq!(last["message"], "last");
    assert_eq!(told["event"], "log_lost");
    assert_eq!(told["level"], "WARN");
    assert_eq!(told["lines"], 2000 - kept.len());
    // What came first is what is kept, and the one that tells comes behind it.
    assert!(kept.iter().copied().eq(0..kept.len() as u64));
    assert!((300..1000).contains(&kept.len()), "{}", kept.len());
}

#[test]
fn a_write_that_fails_loses_lines_and_tears_none() {
    let (log, hand) = started(LogFormat::Text);
    log.write(Level::Info, "before", true, |_| ());
    assert!(log.flush(PATIENCE));
    hand.shut(true);
    log.write(Level::Info, "blocks", true, |_| ());
    while hand.writes() < 2 {
        std::thread::yield_now();
    }
    for what in ["torn", "lost", "lost"] {
        log.write(Level::Info, what, true, |_| ());
    }
    // Behind what blocks, ten bytes of the next batch.
    let blocks = "2026-03-01T12:30:45.678Z INFO  blocks\n".len();
    hand.fails(blocks + 10, ErrorKind::StorageFull);
    hand.shut(false);
    assert!(log.flush(PATIENCE));
    log.write(Level::Info, "after", true, |_| ());
    assert!(log.flush(PATIENCE));
    let text = hand.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(lines[2].len(), 10, "{text}");
    assert!(
        lines[3].contains("WARN  3 lines of the log are lost"),
        "{text}"
    );
    assert!(lines[4].ends_with("INFO  after"), "{text}");
}

#[test]
fn an_end_that_is_not_ready_is_asked_again() {
    for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted] {
        let (log, hand) = started(LogFormat::Text);
        hand.fails(10, kind);
        log.write(Level::Info, "whole", true, |_| ());
        assert!(log.flush(PATIENCE));
        assert!(hand.text().ends_with("INFO  whole\n"));
        assert_eq!(hand.text().lines().count(), 1);
    }
}

#[test]
fn an_end_that_is_gone_for_good_costs_one_write_a_batch() {
    struct Gone(Arc<Mutex<usize>>);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.0.lock() += 1;
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let writes = Arc::new(Mutex::new(0));
    let log = Log::new(LogFormat::Json, Gone(Arc::clone(&writes))).unwrap();
    for _ in 0..10 {
        log.write(Level::Info, "request", true, |_| ());
        assert!(log.flush(PATIENCE));
    }
    // The batch, and before and behind it what is lost.
    assert!(*writes.lock() <= 30);
}

#[test]
fn all_that_was_said_is_written_when_the_log_ends() {
    let (log, hand) = started(LogFormat::Text);
    for _ in 0..100 {
        log.write(Level::Info, "said", false, |_| ());
    }
    let end = Arc::downgrade(&hand.0);
    drop(log);
    // Its thread has the other hold on it.
    while end.strong_count() > 1 {
        std::thread::yield_now();
    }
    assert_eq!(hand.text().lines().count(), 100);
}
