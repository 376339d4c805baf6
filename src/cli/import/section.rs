//! A mapping of the file whose keys are taken one after another; what is left
//! in the end is told, so that nothing is lost without a word.

use serde_json::{Map, Value};

use super::report::{Fate, Path, Report};

/// A value that may stand in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// As it is.
    Literal(String),
    /// `os.environ/NAME`
    Variable(String),
}

impl Said {
    fn of(text: String) -> Self {
        match text.strip_prefix("os.environ/") {
            Some(name) => Self::Variable(name.trim().to_owned()),
            None => Self::Literal(text),
        }
    }
}

/// Keys of a mapping: a name, and why it is not carried over; nothing where it
/// has no meaning for Standin.
pub(super) type Table = [(&'static str, &'static str)];

/// What is said of a key that is in no table.
pub(super) const UNKNOWN: &str =
    "unknown key: neither carried over nor known to be without meaning";

/// A mapping, and where it stands.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) path: Path,
    entries: Map<String, Value>,
}

impl Section {
    /// A value that ought to be a mapping; told and empty where it is none.
    pub(super) fn of(value: Option<Value>, path: Path, report: &mut Report) -> Self {
        let entries = match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                report.dropped(&path, format!("is {}, not a mapping", described(&other)));
                Map::new()
            }
        };
        Self { path, entries }
    }

    /// Takes a key; one without a value is as good as none.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        // Keeps the order of what is left.
        self.entries
            .shift_remove(key)
            .filter(|value| !value.is_null())
    }

    /// Whether a key is still there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| !value.is_null())
    }

    /// The names of what is left.
    pub(super) fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Puts values in where there are none.
    pub(super) fn add(&mut self, more: Map<String, Value>) {
        for (key, value) in more {
            self.entries.entry(key).or_insert(value);
        }
    }

    /// Everything that is left.
    pub(super) fn into_entries(self) -> Map<String, Value> {
        self.entries
    }

    fn wrong(&self, key: &str, value: &Value, wanted: &str, report: &mut Report) {
        let why = format!("is {}, not {wanted}", described(value));
        report.dropped(&self.path.at(key), why);
    }

    /// Text that is not empty. Numbers are text too: a model may be called 4.
    pub(super) fn text(&mut self, key: &str, report: &mut Report) -> Option<Said> {
        match self.take(key)? {
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => Some(Said::of(text)),
            Value::Number(number) => Some(Said::Literal(number.to_string())),
            other @ (Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_)) => {
                self.wrong(key, &other, "text", report);
                None
            }
        }
    }

    /// Text that cannot come from the environment.
    pub(super) fn literal(&mut self, key: &str, report: &mut Report) -> Option<String> {
        match self.text(key, report)? {
            Said::Literal(text) => Some(text),
            Said::Variable(_) => {
                let why = "comes from the environment, which is not read here: write it in by hand";
                report.dropped(&self.path.at(key), why);
                None
            }
        }
    }

    /// A number, also as text (`100_000`), as LiteLLM takes it.
    pub(super) fn number(&mut self, key: &str, report: &mut Report) -> Option<f64> {
        let value = self.take(key)?;
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().replace('_', "").parse().ok(),
            Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.wrong(key, &value, "a number", report);
        }
        number
    }

    /// A list of texts; what is none is told.
    pub(super) fn texts(&mut self, key: &str, report: &mut Report) -> Vec<String> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let path = self.path.at(key);
        texts(value, &path, report)
    }

    /// Tells of every key that nobody took.
    pub(super) fn rest(self, tables: &[&Table], report: &mut Report) {
        for (key, value) in self.entries {
            if value.is_null() {
                continue;
            }
            let path = self.path.at(&key);
            let mut known = tables.iter().flat_map(|table| table.iter());
            match known.find(|(name, _)| *name == key) {
                Some((_, "")) => report.say(Fate::Idle, &path, ""),
                Some((_, why)) => report.dropped(&path, *why),
                None => report.dropped(&path, UNKNOWN),
            }
        }
    }
}

/// A list of texts, or a single one.
pub(super) fn texts(value: Value, path: &Path, report: &mut Report) -> Vec<String> {
    let list = match value {
        Value::Array(list) => list,
        single @ (Value::Bool(_)
        | Value::Null
        | Value::Number(_)
        | Value::Object(_)
        | Value::String(_)) => vec![single],
    };
    let mut out = Vec::new();
    for value in list {
        match value {
            Value::String(text) => out.push(text),
            Value::Number(number) => out.push(number.to_string()),
            other @ (Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_)) => {
                report.dropped(path, format!("names {}, not a text", described(&other)));
            }
        }
    }
    out
}

/// What a value is, for a message: never the value itself.
pub(super) fn described(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::Bool(_) => "a boolean",
        Value::Null => "empty",
        Value::Number(_) => "a number",
        Value::Object(_) => "a mapping",
        Value::String(_) => "text",
    }
}
