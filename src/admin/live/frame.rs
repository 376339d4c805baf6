//! What viewers are told, frame by frame: first everything, then what has
//! changed since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;

use super::row::{self, Row};
use super::step;
use crate::health::Moment;
use crate::house::House;
use crate::walks::{KEPT, Lately, Seen};

/// Targets whose numbers alone have changed and that one frame tells of; the
/// others wait for their turn. A changed state never waits.
const NUMBERS: usize = 200;

/// After so many milliseconds without a change a frame says at least that
/// there is none: a page that hears nothing knows that it has lost us.
const BEAT: u64 = 5000;

/// What the viewers know.
#[derive(Default)]
pub(super) struct Teller {
    number: u64,
    /// When they were last told anything.
    at: Moment,
    /// By id.
    rows: BTreeMap<String, Row>,
    /// The last one of those that had their turn.
    turn: String,
    providers: String,
    sum: String,
    walks: VecDeque<String>,
    seen: Seen,
}

/// What is so at this moment, of the whole.
#[derive(Serialize)]
struct Sum<'a> {
    in_flight: usize,
    per_second: f64,
    answered: u64,
    gone: u64,
    cut: u64,
    failed: u64,
    failed_over: u64,
    bars: &'a [u64],
    /// Whether what is answered can be written into the ledger, or need not.
    recorded: bool,
}

impl Teller {
    /// Takes in what is so now; the frame that says what has changed, where
    /// there is anything to say.
    pub(super) fn next(&mut self, house: &House, in_flight: usize, now: Moment) -> Option<Bytes> {
        let (targets, gone) = self.targets(row::targets(house, now));
        let mut walks = Vec::new();
        house.walks.look(&mut self.seen, |number, walk| {
            walks.push(step::walk(number, walk))
        });
        let mut members = Vec::new();
        if !targets.is_empty() {
            members.push(format!("\"targets\":[{}]", targets.join(",")));
        }
        if !gone.is_empty() {
            members.push(format!("\"gone\":{}", json(&gone)));
        }
        if !walks.is_empty() {
            members.push(format!("\"walks\":[{}]", walks.join(",")));
        }
        self.walks.extend(walks);
        self.walks.drain(..self.walks.len().saturating_sub(KEPT));
        let providers = json(&row::providers(house));
        if providers != self.providers {
            members.push(format!("\"providers\":{providers}"));
            self.providers = providers;
        }
        let sum = sum(&house.walks.lately(now), in_flight, house.is_recorded());
        if sum != self.sum {
            members.push(format!("\"sum\":{sum}"));
            self.sum = sum;
        }
        if members.is_empty() && now.as_millis() < self.at.as_millis() + BEAT {
            return None;
        }
        self.at = now;
        self.number += 1;
        members.push(format!("\"now\":{}", now.as_millis()));
        Some(self.event("more", &members))
    }

    /// Everything that viewers know.
    pub(super) fn all(&self, now: Moment) -> Bytes {
        let rows: Vec<String> = self.rows.values().map(Row::json).collect();
        let walks = Vec::from_iter(self.walks.iter().map(String::as_str));
        let members = [
            format!("\"version\":{}", json(env!("CARGO_PKG_VERSION"))),
            format!("\"targets\":[{}]", rows.join(",")),
            format!("\"walks\":[{}]", walks.join(",")),
            format!("\"providers\":{}", self.providers),
            format!("\"sum\":{}", self.sum),
            format!("\"now\":{}", now.as_millis()),
        ];
        self.event("full", &members)
    }

    fn event(&self, name: &str, members: &[String]) -> Bytes {
        let mut event = String::new();
        // Writing to a string cannot fail. Browsers come again after the time
        // that `retry` says, in milliseconds.
        let _ = write!(
            event,
            "retry: 2000\nevent: {name}\nid: {}\ndata: {{{}}}\n\n",
            self.number,
            members.join(",")
        );
        event.into()
    }

    /// The rows that are told again, and the ids that are no longer there.
    fn targets(&mut self, now: Vec<Row>) -> (Vec<String>, Vec<String>) {
        let ids: BTreeSet<&str> = now.iter().map(|row| row.id.as_str()).collect();
        let gone = self.rows.keys().filter(|id| !ids.contains(id.as_str()));
        let gone: Vec<String> = gone.cloned().collect();
        for id in &gone {
            self.rows.remove(id);
        }
        let (mut told, mut wait) = (Vec::new(), Vec::new());
        for row in now {
            match self.rows.get(&row.id) {
                Some(known) if known.state == row.state && known.numbers == row.numbers => {}
                Some(known) if known.state == row.state => wait.push(row),
                Some(_) | None => told.push(row),
            }
        }
        // In the order of ids, from the one that had the last turn.
        wait.sort_by(|a, b| {
            let is_past = |row: &Row| row.id <= self.turn;
            is_past(a).cmp(&is_past(b)).then_with(|| a.id.cmp(&b.id))
        });
        wait.truncate(NUMBERS);
        if let Some(last) = wait.last() {
            self.turn.clone_from(&last.id);
        }
        told.append(&mut wait);
        let tell = |row: Row| {
            let json = row.json();
            self.rows.insert(row.id.clone(), row);
            json
        };
        (told.into_iter().map(tell).collect(), gone)
    }
}

fn sum(lately: &Lately, in_flight: usize, recorded: bool) -> String {
    let sums = &lately.minutes;
    json(&Sum {
        in_flight,
        per_second: lately.per_second,
        answered: sums.answered,
        gone: sums.gone,
        cut: sums.cut,
        failed: sums.failed,
        failed_over: sums.failed_over,
        bars: &lately.bars,
        recorded,
    })
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Strings and numbers only: nothing of it can fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, numbers: &str) -> Vec<Row> {
        let row = |at| Row {
            id: format!("p/{at:04}"),
            state: format!(r#"{{"id":"p/{at:04}","failures":0}}"#),
            numbers: format!(r#"{{"answered":{numbers}}}"#),
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn every_changed_number_has_its_turn() {
        let mut teller = Teller::default();
        assert_eq!(teller.targets(rows(500, "0")).0.len(), 500);
        assert!(teller.targets(rows(500, "0")).0.is_empty());
        let mut told = BTreeSet::new();
        for frame in 1..=3 {
            // All of them change again before each frame.
            let frame = teller.targets(rows(500, &frame.to_string())).0;
            assert_eq!(frame.len(), NUMBERS);
            let id = |json: &String| json[..14].to_owned();
            told.extend(frame.iter().map(id));
        }
        assert_eq!(told.len(), 500);
    }

    #[test]
    fn a_changed_state_does_not_wait_and_what_left_is_told() {
        let mut teller = Teller::default();
        teller.targets(rows(500, "0"));
        let mut changed = rows(499, "1");
        changed[3].state = r#"{"id":"p/0003","failures":9}"#.into();
        let (told, gone) = teller.targets(changed);
        assert_eq!(told[0], r#"{"id":"p/0003","failures":9,"answered":1}"#);
        assert_eq!(gone, ["p/0499"]);
    }
}
