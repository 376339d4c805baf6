//! What a run has seen, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::walk::Walk;

/// The end's memory may exceed that after a tenth of the run by a quarter and
/// this much.
const GROWTH: u64 = 8 << 10;

/// Violations that are described; all are counted.
const DESCRIBED: usize = 10;

/// What the workers note.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Right answers.
    pub(crate) right: u64,
    /// Wrong ones, and requests without one.
    pub(crate) wrong: u64,
    /// The first few of them.
    pub(crate) described: Vec<String>,
    /// How attempts ended, by the word in `x-standin-attempts`.
    pub(crate) attempts: BTreeMap<String, u64>,
    /// Why candidates were passed over without one.
    pub(crate) skips: BTreeMap<String, u64>,
    /// Answers that came after at least one failed attempt.
    pub(crate) failed_over: u64,
}

impl Tally {
    pub(crate) fn answered(&mut self, walk: &Walk) {
        self.right += 1;
        self.failed_over += u64::from(walk.attempts().count() > 1);
        for word in walk.attempts() {
            count(&mut self.attempts, word);
        }
        for why in walk.skips() {
            count(&mut self.skips, why);
        }
    }

    pub(crate) fn violated(&mut self, what: String) {
        self.wrong += 1;
        if self.described.len() < DESCRIBED {
            self.described.push(what);
        }
    }

    pub(crate) fn done(&self) -> u64 {
        self.right + self.wrong
    }

    pub(crate) fn failed_attempts(&self) -> u64 {
        self.attempts
            .values()
            .sum::<u64>()
            .saturating_sub(self.right)
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skips.values().sum()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, word: &str) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => drop(counts.insert(word.to_owned(), 1)),
    }
}

/// Resident memory of the proxy over a run, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) start: u64,
    /// After a tenth of the requests: buffers and pools are warm.
    pub(crate) warm: u64,
    pub(crate) peak: u64,
    pub(crate) end: u64,
}

impl Memory {
    /// What is wrong with it.
    pub(crate) fn grows(&self) -> Option<String> {
        let most = self.warm + self.warm / 4 + GROWTH;
        (self.end > most).then(|| {
            format!(
                "memory grows: {} KiB at the end, {} KiB after a tenth",
                self.end, self.warm
            )
        })
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) tally: Tally,
    pub(crate) wall: Duration,
    /// Seconds of processor time of the proxy.
    pub(crate) processor: f64,
    pub(crate) memory: Memory,
}

impl Report {
    /// Processor microseconds of the proxy for each request.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn processor_each(&self) -> f64 {
        self.processor * 1e6 / self.tally.done().max(1) as f64
    }

    pub(crate) fn json(&self) -> Value {
        let memory = self.memory;
        json!({
            "seed": self.seed,
            "connections": self.connections,
            "requests": self.tally.done(),
            "violations": self.tally.wrong,
            "described": self.tally.described,
            "attempts": self.tally.attempts,
            "failed_attempts": self.tally.failed_attempts(),
            "skips": self.tally.skips,
            "failed_over": self.tally.failed_over,
            "wall_seconds": self.wall.as_secs_f64(),
            "cpu_seconds": self.processor,
            "cpu_us_per_request": self.processor_each(),
            "rss_kib": {
                "start": memory.start,
                "after_10_percent": memory.warm,
                "peak": memory.peak,
                "end": memory.end,
            },
        })
    }

    pub(crate) fn table(&self) -> String {
        let tally = &self.tally;
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            let line = format!("{name:<34}{value:>16}");
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{}", line.trim_end());
        };
        row("seed", self.seed.to_string());
        row("connections", self.connections.to_string());
        row("requests", tally.done().to_string());
        row("  answered right", tally.right.to_string());
        row("  violations", tally.wrong.to_string());
        row("  answered after a failure", tally.failed_over.to_string());
        row("failed attempts", self.tally.failed_attempts().to_string());
        row("attempts, by how they ended", String::new());
        for (word, count) in &tally.attempts {
            row(&format!("  {word}"), count.to_string());
        }
        row("skips", tally.skipped().to_string());
        for (why, count) in &tally.skips {
            row(&format!("  {why}"), count.to_string());
        }
        row("wall time", format!("{:.1} s", self.wall.as_secs_f64()));
        row("CPU of standin", format!("{:.1} s", self.processor));
        row("  a request", format!("{:.0} us", self.processor_each()));
        let memory = self.memory;
        row("RSS of standin, start", format!("{} KiB", memory.start));
        row("  after 10 %", format!("{} KiB", memory.warm));
        row("  peak", format!("{} KiB", memory.peak));
        row("  end", format!("{} KiB", memory.end));
        table.truncate(table.trim_end().len());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_no_attempt() {
        let walk = Walk::read("a/m=503, b/m=skipped:open, c/m=200").unwrap();
        let mut tally = Tally::default();
        tally.answered(&walk);
        assert_eq!((tally.failed_attempts(), tally.skipped()), (1, 1));
        assert_eq!(tally.failed_over, 1);
        tally.answered(&Walk::read("a/m=skipped:cooling, c/m=200").unwrap());
        assert_eq!((tally.failed_attempts(), tally.skipped()), (1, 2));
        assert_eq!(tally.failed_over, 1);
    }

    #[test]
    fn memory_may_grow_by_a_quarter_and_eight_mebibytes() {
        let memory = |end| Memory {
            warm: 40_000,
            end,
            ..Memory::default()
        };
        assert_eq!(memory(50_000 + GROWTH).grows(), None);
        assert!(memory(50_001 + GROWTH).grows().is_some());
    }
}
