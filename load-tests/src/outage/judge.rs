//! What an outage has shown.
//!
//! No timer decides: a request that finds the primary's breaker open walks
//! past it, and its walk says so. So what is counted is requests that were
//! sent after `/status` had said that the primary is out, and whose walk
//! shows an attempt at it all the same: those are probes, and there may be
//! one for each cool-down.

use std::time::Duration;

use super::probes;
use crate::crowd::{Sample, wrong};
use crate::scene::{COOLDOWN, FAILURES, MAX_COOLDOWN, PRIMARY, TIMEOUT};
use crate::status::{Look, changes};
use crate::table::Table;

/// What came to pass. Times are since the crowd's beginning.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) way: &'static str,
    pub(super) connections: usize,
    /// Between these two the primary died, …
    pub(super) killed: Duration,
    pub(super) dead: Duration,
    /// … and by then it was back.
    pub(super) revived: Duration,
    /// Whether it went on answering then.
    pub(super) is_back: bool,
    /// What was wrong with `/status`.
    pub(super) status: Option<String>,
    pub(super) looks: Vec<Look>,
    pub(super) samples: Vec<Sample>,
}

impl Found {
    pub(super) fn violations(&self) -> Vec<String> {
        let answered = self.samples.iter().filter(|one| !self.may_break(one));
        let mut found = wrong(answered);
        let mut require = |right: bool, what: String| {
            if !right {
                found.push(what);
            }
        };
        if let Some(why) = &self.status {
            require(false, why.clone());
        }
        let broken = self.broken();
        require(
            broken <= self.connections,
            format!("{broken} answers broke off, more than there are connections"),
        );
        let (late, allowed) = (self.late(), self.allowed());
        require(
            late <= allowed,
            format!(
                "{late} attempts at the dead primary after its breaker opened: {allowed} probes were due"
            ),
        );
        let (attempts, most) = (self.attempts(), self.most());
        require(
            attempts <= most,
            format!("{attempts} attempts at the dead primary in all, more than {most}"),
        );
        let again = self.after(self.revived).map(failed).sum::<usize>();
        require(
            again == 0,
            format!("{again} attempts at the primary failed after it was back"),
        );
        require(self.is_back, "the primary does not answer again".to_owned());
        if let Some(took) = self.took() {
            // Twice what it may take: a slow machine is no violation, a
            // cool-down too many is.
            let most = 2 * (MAX_COOLDOWN + MAX_COOLDOWN / 16 + TIMEOUT);
            require(
                took <= most,
                format!("it answered again only after {took:?}"),
            );
        }
        found
    }

    /// When `/status` first said that the primary is out.
    fn opened(&self) -> Option<&Look> {
        let mut later = self.looks.iter().filter(|look| look.came >= self.killed);
        later.find(|look| look.view.is_out())
    }

    /// Whether this request was under way when the primary was killed: what it
    /// had said of an answer by then cannot be taken back.
    fn may_break(&self, sample: &Sample) -> bool {
        sample.began <= self.dead && sample.ended >= self.killed
    }

    /// Answers that the primary took with it.
    fn broken(&self) -> usize {
        let under_way = self.samples.iter().filter(|one| self.may_break(one));
        under_way.filter(|one| one.walk.is_err()).count()
    }

    fn after(&self, moment: Duration) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |one| one.began >= moment)
    }

    /// Attempts at the primary that failed.
    fn attempts(&self) -> usize {
        self.samples.iter().map(failed).sum()
    }

    /// How many those may be: what opens the breaker, what is under way until
    /// it is open (and what was when the primary died: an answer of before
    /// that comes in late begins the count anew), and the probes.
    fn most(&self) -> usize {
        FAILURES + 2 * self.connections + self.allowed()
    }

    /// Those of them in requests that began when the breaker was open.
    fn late(&self) -> usize {
        let opened = self.opened().map_or(self.dead, |look| look.came);
        self.after(opened).map(failed).sum()
    }

    /// How many of those were due. It opened after it was last seen healthy.
    fn allowed(&self) -> usize {
        let Some(opened) = self.opened() else {
            return 0;
        };
        let mut before = self.looks.iter().filter(|look| look.came <= opened.sent);
        let healthy = before.next_back().map_or(self.killed, |look| look.sent);
        probes(self.revived.saturating_sub(healthy))
    }

    /// From the primary's return until it had answered a request.
    fn took(&self) -> Option<Duration> {
        let mut later = self.samples.iter().filter(|one| one.ended >= self.revived);
        let first = later.find(|one| one.walk().is_some_and(|walk| walk.is_served_by(PRIMARY)));
        first.map(|one| one.ended.saturating_sub(self.revived))
    }

    /// The longest that a request took which walked past the primary while
    /// its breaker was open.
    fn longest(&self) -> Duration {
        let opened = self.opened().map_or(self.dead, |look| look.came);
        let past = |one: &&Sample| {
            one.walk()
                .is_some_and(|walk| walk.skip_of(PRIMARY).is_some())
        };
        let past = self.after(opened).filter(past);
        past.map(Sample::took).max().unwrap_or_default()
    }

    pub(super) fn table(&self) -> Table {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let mut table = Table::default();
        table.row("connections", self.connections);
        table.row("requests", self.samples.len());
        table.row("  broken off when the primary died", self.broken());
        let skips = |one: &&Sample| {
            one.walk()
                .is_some_and(|walk| walk.skip_of(PRIMARY).is_some())
        };
        table.row(
            "  past the primary",
            self.samples.iter().filter(skips).count(),
        );
        table.row(
            "dead for",
            seconds(self.revived.saturating_sub(self.killed)),
        );
        table.row("attempts at the dead primary", self.attempts());
        table.row("  at most", self.most());
        table.row("  after its breaker was open", self.late());
        table.row("  probes that were due", self.allowed());
        table.row("longest walk past it", seconds(self.longest()));
        table.row("its timeout", seconds(TIMEOUT));
        if let Some(took) = self.took() {
            let cooldowns = |unit: Duration| took.as_secs_f64() / unit.as_secs_f64();
            table.row("back in service after", seconds(took));
            table.row(
                "  in first cool-downs",
                format!("{:.2}", cooldowns(COOLDOWN)),
            );
            table.row(
                "  in longest cool-downs",
                format!("{:.2}", cooldowns(MAX_COOLDOWN)),
            );
        }
        table
    }

    /// What `/status` said, and what was done, in seconds since the kill.
    pub(super) fn timeline(&self) -> String {
        let mut told: Vec<(Duration, String)> = changes(&self.looks)
            .map(|look| (look.came, format!("/status: {}", look.view)))
            .collect();
        told.push((self.killed, format!("the primary dies: {}", self.way)));
        told.push((self.revived, "the primary is back".to_owned()));
        if let Some(took) = self.took() {
            told.push((self.revived + took, "it has answered a request".to_owned()));
        }
        told.sort_by_key(|(at, _)| *at);
        let lines = told.into_iter().map(|(at, what)| {
            let at = at.as_secs_f64() - self.killed.as_secs_f64();
            format!("{at:>8.3} s  {what}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// How many attempts at the primary failed in this request.
fn failed(sample: &Sample) -> usize {
    sample.walk().map_or(0, |walk| walk.failed_at(PRIMARY))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::View;
    use crate::walk::Walk;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sample(began: u64, ended: u64, walk: &str) -> Sample {
        Sample {
            number: began,
            began: at(began),
            ended: at(ended),
            walk: Walk::read(walk),
        }
    }

    fn look(ms: u64, state: &str) -> Look {
        let target = json!({ "model": "primary/m", "provider": "primary", "state": state });
        Look {
            sent: at(ms),
            came: at(ms + 1),
            view: View::of("primary", &json!({ "targets": [target] })),
        }
    }

    const SKIPS: &str = "primary/m=skipped:open, backup/m=200";
    const FAILS: &str = "primary/m=connect, backup/m=200";
    const SERVES: &str = "primary/m=200";

    /// Dies at 1 s, opens, one failed probe at 2.1 s, back at 4 s, answers at
    /// 4.2 s.
    fn good() -> Found {
        let mut samples = vec![sample(900, 950, SERVES), sample(999, 1001, "broken off")];
        samples.extend((0..6).map(|n| sample(1002 + n, 1003 + n, FAILS)));
        samples.extend((0..90).map(|n| sample(1100 + n, 1101 + n, SKIPS)));
        samples.push(sample(2100, 2101, FAILS));
        samples.extend((0..10).map(|n| sample(4200 + n, 4201 + n, SERVES)));
        Found {
            way: "connections refused",
            connections: 4,
            killed: at(1000),
            dead: at(1001),
            revived: at(4001),
            is_back: true,
            status: None,
            looks: [
                (990, "healthy"),
                (1020, "open"),
                (2100, "probing"),
                (2110, "open"),
                (4210, "healthy"),
            ]
            .map(|(ms, state)| look(ms, state))
            .into(),
            samples,
        }
    }

    #[test]
    fn a_run_with_a_breaker_passes() {
        assert_eq!(good().violations(), Vec::<String>::new());
        assert_eq!(
            (good().late(), good().allowed(), good().attempts()),
            (1, 2, 7)
        );
        assert_eq!(good().took(), Some(at(200)));
    }

    #[test]
    fn each_way_of_going_wrong_is_a_violation() {
        let wrongs: [fn(&mut Found); 7] = [
            |found| {
                found
                    .samples
                    .extend([sample(1500, 2500, FAILS), sample(1501, 2501, FAILS)])
            },
            |found| found.samples.extend(vec![sample(1005, 1006, FAILS); 20]),
            |found| found.samples.push(sample(1500, 1501, "no answer")),
            |found| {
                found
                    .samples
                    .extend(vec![sample(999, 1000, "no answer"); 4])
            },
            |found| found.is_back = false,
            |found| found.status = Some("/status is answered with 404".to_owned()),
            |found| found.samples.retain(|one| one.began < found.revived),
        ];
        for (place, wrong) in wrongs.iter().enumerate() {
            let mut found = good();
            wrong(&mut found);
            if found.samples.iter().all(|one| one.began < found.revived) {
                found.samples.push(sample(20_000, 20_001, SERVES));
            }
            assert_eq!(found.violations().len(), 1, "{place}");
        }
        // Without live state every request of the outage is such an attempt.
        let mut found = good();
        found.looks.clear();
        found
            .samples
            .extend((0..99).map(|n| sample(1100 + n, 2100 + n, FAILS)));
        assert!(found.violations().len() >= 2);
    }

    #[test]
    fn the_timeline_tells_changes_only() {
        let mut found = good();
        found.looks.insert(1, look(995, "healthy"));
        let told = found.timeline();
        assert_eq!(told.matches("/status").count(), 5);
        assert!(
            told.contains("   0.021 s  /status: primary/m open"),
            "{told}"
        );
    }
}
