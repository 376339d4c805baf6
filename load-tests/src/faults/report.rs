//! What a run has found, and how it is told.

use std::time::Duration;

use serde_json::{Value, json};

use super::books::Books;
use super::upgrades::Upgrades;
use crate::table::Table;
use crate::tally::{Memory, Tally};

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

/// What may be more at the end than at the start: the database opens files
/// when they are needed, the allocator's threads begin late.
const MORE: u64 = 8;

impl Holds {
    pub(super) fn is_as_before(self, start: Self) -> bool {
        self.descriptors <= start.descriptors + MORE && self.threads <= start.threads + MORE
    }
}

/// What came of upgrades.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) upgrades: u64,
    pub(super) old_first: u64,
    pub(super) wrong: u64,
    pub(super) killed: u64,
    pub(super) accepting: u64,
    pub(super) unknown: u64,
    pub(super) counted: u64,
    pub(super) lost: u64,
    pub(super) damaged: u64,
    pub(super) longest: Duration,
    pub(super) longest_end: Duration,
    pub(super) memories: Vec<Memory>,
}

impl Before {
    pub(super) fn of(upgrades: &Upgrades) -> Self {
        Self {
            upgrades: upgrades.done.get(),
            old_first: upgrades.old_first.get(),
            wrong: upgrades.wrong.get(),
            killed: upgrades.killed.get(),
            accepting: upgrades.accepting.get(),
            unknown: upgrades.unknown.get(),
            counted: upgrades.counted.get(),
            lost: upgrades.lost.get(),
            damaged: upgrades.damaged.get(),
            longest: upgrades.longest.get(),
            longest_end: upgrades.longest_end.get(),
            memories: upgrades.memories.take(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "done": self.upgrades,
            "wrong": self.wrong,
            "killed": self.killed,
            "killed_accepting": self.accepting,
            "counted": self.counted,
            "unknown": self.unknown,
            "lost": self.lost,
            "longest_seconds": self.longest.as_secs_f64(),
            "longest_end_seconds": self.longest_end.as_secs_f64(),
        })
    }
}

/// A finished run.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) seed: u64,
    pub(super) connections: usize,
    pub(super) wall: Duration,
    pub(super) tally: Tally,
    pub(super) requests: u64,
    /// Answers that broke off after commit: with an error event, and with the
    /// connection.
    pub(super) told: u64,
    pub(super) broken: u64,
    /// Attempts each of which has a row beside those of answers.
    pub(super) discards: u64,
    /// Standin's deaths, and the requests that they took along.
    pub(super) deaths: u64,
    pub(super) killed: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) signals: u64,
    pub(super) kills: u64,
    /// Nothing where the disk cannot be made full.
    pub(super) full: Option<u64>,
    /// Nothing where this machine lets no process have names of its own.
    pub(super) names: Option<u64>,
    pub(super) places: (usize, u64),
    pub(super) vast: u64,
    pub(super) lost: u64,
    pub(super) damaged: u64,
    /// What `/metrics` says of ended requests, where one process saw all.
    pub(super) counted: Option<u64>,
    pub(super) books: Books,
    pub(super) longest: Duration,
    pub(super) longest_healthz: Duration,
    /// Until every target was healthy again.
    pub(super) healed: Option<Duration>,
    /// Of the process that serves at the end.
    pub(super) memory: Memory,
    /// Requests that went with a new process that was killed.
    pub(super) gone: u64,
    pub(super) before: Before,
    pub(super) start: Holds,
    pub(super) end: Holds,
    /// Whatever else was wrong.
    pub(super) wrong: Vec<String>,
}

impl Found {
    pub(super) fn violations(&self) -> Vec<String> {
        let mut found = self.tally.described.clone();
        found.extend(self.wrong.iter().cloned());
        let mut require = |right: bool, what: String| {
            if !right {
                found.push(what);
            }
        };
        require(self.tally.right > 0, "nobody was answered".to_owned());
        if let Some(counted) = self.counted {
            let requests = self.requests;
            require(
                self.is_all(counted, requests),
                format!(
                    "{requests} requests were sent, standin has counted {counted}; {} more may have been by processes that left or were killed",
                    self.before.unknown
                ),
            );
            let lines = self.missing();
            require(
                lines == self.lost,
                format!(
                    "{lines} rows are missing, and {} are said to be lost",
                    self.lost
                ),
            );
            require(
                self.end.is_as_before(self.start),
                format!("{:?} at the end, {:?} at the start", self.end, self.start),
            );
            found.extend(self.grows());
            if self.healed.is_none() {
                found.push("not every target is healthy again".to_owned());
            }
        } else {
            let missing = self.books.missing;
            require(
                missing == 0,
                format!("{missing} answers were seen to their ends and have no row"),
            );
            require(self.deaths > 0, "standin was never killed".to_owned());
        }
        let Books {
            double, strange, ..
        } = self.books;
        if double + strange + self.damaged > 0 {
            let damaged = self.damaged;
            found.push(format!(
                "{double} rows are there twice, {strange} are nobody's, {damaged} are damaged"
            ));
        }
        found
    }

    /// Whether that is what these requests count to, but for those counted by a
    /// process that has left or was killed.
    pub(super) fn is_all(&self, counted: u64, requests: u64) -> bool {
        (counted..=counted + self.before.unknown).contains(&requests)
    }

    /// Which processes' memory grows: each from when it was warm until it had
    /// left, and each beside the first at the same age.
    fn grows(&self) -> Vec<String> {
        let all = self.before.memories.iter().chain([&self.memory]);
        // One that left earlier was never warm.
        let all: Vec<_> = all.filter(|memory| memory.warm > 0).collect();
        let first = all.first().map_or(0, |memory| memory.warm);
        let later = all.iter().filter_map(|memory| {
            let like = Memory {
                warm: first,
                end: memory.warm,
                ..Memory::default()
            };
            let why = like.grows()?;
            Some(format!(
                "a later process, beside the first when warm: {why}"
            ))
        });
        let own = all.iter().filter_map(|memory| memory.grows());
        own.chain(later).collect()
    }

    pub(super) fn table(&self) -> Table {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let mut table = Table::default();
        table.row("seed", self.seed);
        table.row("connections", self.connections);
        table.row("wall time", format!("{:.1} s", self.wall.as_secs_f64()));
        table.row("requests", self.requests);
        table.row("  answered whole and right", self.tally.right);
        table.row("  answered after a failure", self.tally.failed_over);
        table.row("  cut after commit, with an error event", self.told);
        table.row("  cut after commit, with the connection", self.broken);
        table.row("  violations", self.tally.wrong);
        table.row("  the longest took", seconds(self.longest));
        table.row("failed attempts", self.tally.failed_attempts());
        for (word, count) in &self.tally.attempts {
            table.row(format!("  {word}"), count);
        }
        table.row("skips", self.tally.skipped());
        table.row("cuts at places of an answer, met", self.places.0);
        table.row("  of", self.places.1);
        table.row("  in answers above a mebibyte", self.vast);
        if self.counted.is_some() {
            self.rows_of_harm(&mut table);
        } else {
            table.row("standin killed and started again", self.deaths);
            table.row("  requests gone with it", self.killed);
            table.row("ledger rows of answers", self.books.rows);
            table.row("  missing where an end was seen", self.books.missing);
            table.row("  missing where only a beginning was", self.books.begun);
            table.row("  twice", self.books.double);
        }
        table
    }

    /// What concerns one process that lives to the end.
    fn rows_of_harm(&self, table: &mut Table) {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let before = &self.before;
        table.row("upgrades", before.upgrades);
        table.row("  SIGQUIT before the new process", before.old_first);
        table.row("  to a wrong configuration", before.wrong);
        table.row("  to a process that was killed", before.killed);
        table.row("    while it accepted", before.accepting);
        table.row("    requests gone with it", self.gone);
        table.row("  longest start until it serves", seconds(before.longest));
        table.row(
            "  longest end of an old process",
            seconds(before.longest_end),
        );
        table.row("requests counted by old processes", before.counted);
        table.row(
            "  not known, by those that left or were killed",
            before.unknown,
        );
        table.row("providers killed and started again", self.kills);
        table.row("reloads accepted", self.accepted);
        table.row("  rejected, as they are wrong", self.rejected);
        table.row("  by SIGHUP", self.signals);
        let times = |times: Option<u64>| match times {
            Some(times) => times.to_string(),
            None => "left out here".to_owned(),
        };
        table.row("addresses changed", times(self.names));
        table.row("times the disk was full", times(self.full));
        table.row("ledger rows of answers", self.books.rows);
        table.row("  of discarded attempts", self.books.discarded);
        table.row("  lost while it was full, as counted", self.lost);
        table.row("  missing", self.missing());
        table.row("  twice", self.books.double);
        table.row("longest /healthz", seconds(self.longest_healthz));
        if let Some(healed) = self.healed {
            table.row("all targets healthy again after", seconds(healed));
        }
        let memory = self.memory;
        if let (Some(first), Some(last)) = (before.memories.first(), before.memories.last()) {
            table.row(
                "RSS of the first process, warm",
                format!("{} KiB", first.warm),
            );
            table.row("  when it had left", format!("{} KiB", first.end));
            table.row("  of the last but one, warm", format!("{} KiB", last.warm));
            table.row("  when it had left", format!("{} KiB", last.end));
        }
        table.row(
            "RSS of the last process, start",
            format!("{} KiB", memory.start),
        );
        table.row("  warm", format!("{} KiB", memory.warm));
        table.row("  peak", format!("{} KiB", memory.peak));
        table.row("  end", format!("{} KiB", memory.end));
        table.row("descriptors, start", self.start.descriptors);
        table.row("  end", self.end.descriptors);
        table.row("threads, start", self.start.threads);
        table.row("  end", self.end.threads);
    }

    /// Rows that are not there, of answers and of discarded attempts.
    fn missing(&self) -> u64 {
        let discarded = self.discards.saturating_sub(self.books.discarded);
        self.books.missing + self.books.begun + discarded
    }

    pub(super) fn json(&self) -> Value {
        let memory = self.memory;
        let holds =
            |holds: Holds| json!({ "descriptors": holds.descriptors, "threads": holds.threads });
        json!({
            "seed": self.seed,
            "connections": self.connections,
            "wall_seconds": self.wall.as_secs_f64(),
            "requests": self.requests,
            "answered": self.tally.right,
            "failed_over": self.tally.failed_over,
            "cut_with_event": self.told,
            "cut_with_connection": self.broken,
            "killed_with_standin": self.killed,
            "violations": self.violations(),
            "longest_seconds": self.longest.as_secs_f64(),
            "attempts": self.tally.attempts,
            "skips": self.tally.skips,
            "places_met": self.places.0,
            "places": self.places.1,
            "vast": self.vast,
            "provider_kills": self.kills,
            "standin_kills": self.deaths,
            "reloads_accepted": self.accepted,
            "reloads_rejected": self.rejected,
            "reloads_by_signal": self.signals,
            "address_changes": self.names,
            "disk_full": self.full,
            "rows": self.books.rows,
            "rows_lost": self.lost,
            "rows_discarded": self.books.discarded,
            "rows_missing": self.missing(),
            "rows_double": self.books.double,
            "longest_healthz_seconds": self.longest_healthz.as_secs_f64(),
            "healed_seconds": self.healed.map(|time| time.as_secs_f64()),
            "upgrades": self.before.json(),
            "gone_with_killed": self.gone,
            "rss_kib": {
                "start": memory.start,
                "warm": memory.warm,
                "peak": memory.peak,
                "end": memory.end,
            },
            "holds_at_start": holds(self.start),
            "holds_at_end": holds(self.end),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Found {
        Found {
            tally: Tally {
                right: 9,
                ..Tally::default()
            },
            requests: 10,
            told: 1,
            counted: Some(10),
            lost: 2,
            books: Books {
                rows: 8,
                missing: 1,
                begun: 1,
                ..Books::default()
            },
            healed: Some(Duration::from_secs(1)),
            ..Found::default()
        }
    }

    #[test]
    fn a_run_that_lost_only_what_is_counted_passes() {
        assert_eq!(good().violations(), Vec::<String>::new());
    }

    #[test]
    fn each_way_of_going_wrong_is_a_violation() {
        let wrongs: [fn(&mut Found); 16] = [
            |found| found.discards = 1,
            |found| found.tally.violated("request 7 hangs".to_owned()),
            |found| found.tally.right = 0,
            |found| found.counted = Some(9),
            |found| found.lost = 3,
            |found| found.lost = 1,
            |found| found.books.double = 1,
            |found| found.books.strange = 1,
            |found| found.damaged = 1,
            |found| found.end.descriptors = 100,
            |found| found.end.threads = 100,
            |found| (found.memory.warm, found.memory.end) = (1, 1 << 30),
            |found| {
                let grown = |warm, end| Memory {
                    warm,
                    end,
                    ..Memory::default()
                };
                found.before.memories = vec![grown(1, 1), grown(1, 1 << 30)];
            },
            |found| {
                let warm = |warm| Memory {
                    warm,
                    end: warm,
                    ..Memory::default()
                };
                found.before.memories = vec![warm(1), warm(1 << 30)];
            },
            |found| (found.counted, found.before.unknown) = (Some(8), 1),
            |found| found.healed = None,
        ];
        for (nth, spoil) in wrongs.iter().enumerate() {
            let mut found = good();
            spoil(&mut found);
            assert_eq!(found.violations().len(), 1, "{nth}");
        }
    }

    #[test]
    fn a_death_may_take_rows_of_which_no_end_was_seen() {
        let killed = |missing, deaths| {
            let mut found = good();
            (found.counted, found.deaths) = (None, deaths);
            found.books.missing = missing;
            found.violations().len()
        };
        assert_eq!([killed(0, 1), killed(1, 1), killed(0, 0)], [0, 1, 1]);
    }
}
