//! What was found: figures round by round, and the aims beside them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::goals::{GOALS, Goal, Over};
use crate::rounds::Side;

/// One figure of each subject.
#[derive(Debug)]
struct Row {
    scenario: &'static str,
    metric: &'static str,
    columns: Vec<(&'static str, Side)>,
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rows: Vec<Row>,
    remarks: Vec<String>,
    /// Those of them by which an aim is not shown.
    faults: Vec<String>,
}

/// An aim, and what became of it.
#[derive(Debug)]
struct Judged {
    goal: &'static Goal,
    found: Side,
    /// None where nothing was measured.
    holds: Option<bool>,
}

impl Sheet {
    /// One round's figure. A round gives each subject one, so that the places
    /// of two columns are the same rounds.
    pub(super) fn note(
        &mut self,
        scenario: &'static str,
        metric: &'static str,
        subject: &'static str,
        value: f64,
    ) {
        let is = |row: &Row| row.scenario == scenario && row.metric == metric;
        let row = match self.rows.iter().position(is) {
            Some(place) => place,
            None => {
                self.rows.push(Row {
                    scenario,
                    metric,
                    columns: Vec::new(),
                });
                self.rows.len() - 1
            }
        };
        let columns = &mut self.rows[row].columns;
        match columns.iter_mut().find(|(name, _)| *name == subject) {
            Some((_, side)) => side.0.push(value),
            None => columns.push((subject, Side(vec![value]))),
        }
    }

    /// Something that keeps the run from showing what it should.
    pub(super) fn fault(&mut self, text: String) {
        self.faults.push(text.clone());
        self.remark(text);
    }

    pub(super) fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    fn side(&self, scenario: &str, metric: &str, subject: &str) -> Option<&Side> {
        let row = self.rows.iter();
        let mut row = row.filter(|row| row.scenario == scenario && row.metric == metric);
        let columns = &row.next()?.columns;
        let column = columns.iter().find(|(name, _)| *name == subject);
        column.map(|(_, side)| side)
    }

    /// What a goal is about, round by round.
    fn found(&self, goal: &Goal) -> Option<Side> {
        let side = |subject| self.side(goal.scenario, goal.metric, subject);
        let own = side(goal.subject)?;
        Some(match goal.over {
            Over::Nothing => Side(own.0.clone()),
            Over::Column(other) => own.beside(side(other)?, |own, other| own / other),
            Over::Added(other, base) => {
                let base = side(base)?;
                let added = |side: &Side| side.beside(base, |one, base| one - base);
                added(own).beside(&added(side(other)?), |own, other| own / other)
            }
            Over::Above(base) => own.beside(side(base)?, |own, base| own - base),
        })
    }

    fn judged(&self, scenario: &str) -> Vec<Judged> {
        let goals = GOALS.iter().filter(|goal| goal.scenario == scenario);
        goals
            .map(|goal| {
                let found = self.found(goal);
                let holds = found.as_ref().map(|found| found.median() <= goal.bound);
                let found = found.unwrap_or_default();
                Judged { goal, found, holds }
            })
            .collect()
    }

    /// The block of one scenario.
    pub(super) fn block(&self, scenario: &str) -> String {
        let mut text = format!("{scenario}\n");
        let rows = self.rows.iter().filter(|row| row.scenario == scenario);
        // Writing to a string cannot fail.
        for row in rows {
            let _ = writeln!(text, "  {}", row.metric);
            for (name, side) in &row.columns {
                let _ = writeln!(text, "    {name:<18}{side:>34}");
            }
        }
        for judged in self.judged(scenario) {
            let word = match judged.holds {
                None => "not measured",
                Some(true) => "holds",
                Some(false) => "misses",
            };
            let found = match judged.holds {
                None => String::new(),
                Some(_) => judged.found.to_string(),
            };
            let _ = writeln!(
                text,
                "  aim: {} at most {}",
                judged.goal.name(),
                judged.goal.bound
            );
            let _ = writeln!(text, "    {word:<18}{found:>34}");
        }
        text
    }

    /// Everything that was aimed for and not reached, or not measured.
    pub(super) fn missed(&self, scenarios: &[&str]) -> Vec<String> {
        let judged = scenarios.iter().flat_map(|scenario| self.judged(scenario));
        let missed = judged.filter(|judged| judged.holds != Some(true));
        let missed = missed.map(|judged| {
            let (goal, bound) = (judged.goal, judged.goal.bound);
            format!(
                "{}: {} at most {bound}: {}",
                goal.scenario,
                goal.name(),
                judged.found
            )
        });
        missed.chain(self.faults.iter().cloned()).collect()
    }

    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    pub(super) fn json(&self, scenarios: &[&str]) -> Value {
        let side = |side: &Side| {
            let (low, high) = side.middle();
            json!({ "median": side.median(), "low": low, "high": high, "rounds": side.0 })
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let columns = row.columns.iter();
                let columns: serde_json::Map<String, Value> = columns
                    .map(|(name, column)| ((*name).to_owned(), side(column)))
                    .collect();
                json!({ "scenario": row.scenario, "metric": row.metric, "subjects": columns })
            })
            .collect();
        let aims: Vec<Value> = scenarios
            .iter()
            .flat_map(|scenario| self.judged(scenario))
            .map(|judged| {
                json!({
                    "scenario": judged.goal.scenario,
                    "aim": judged.goal.name(),
                    "at_most": judged.goal.bound,
                    "found": side(&judged.found),
                    "holds": judged.holds,
                })
            })
            .collect();
        json!({ "figures": rows, "aims": aims, "remarks": self.remarks })
    }
}
