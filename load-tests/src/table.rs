//! How a run is told: rows of a name and a value, and what was wrong.

use std::fmt;

/// Rows, in order.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<(String, String)>);

impl Table {
    pub(crate) fn row(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.0.push((name.into(), value.to_string()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let end = if place > 0 { "\n" } else { "" };
            let line = format!("{name:<44}{value:>16}");
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whether a run has shown what it had to.
pub(crate) fn verdict(violations: Vec<String>) -> Result<(), String> {
    match violations.as_slice() {
        [] => Ok(()),
        all => Err(format!("FAIL\n{}", all.join("\n"))),
    }
}
