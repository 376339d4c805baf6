//! What an import has to say of the file that it read: one line for each path.
//!
//! No value of the file stands in a line unless a table of this room says that
//! it can be no secret; keys and names are shown short.

use std::collections::HashMap;
use std::fmt::Write as _;

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// Carried over, and works otherwise.
    Differs,
    /// Not carried over.
    Dropped,
    /// Known, and without meaning for Standin.
    Idle,
}

impl Fate {
    pub(super) const ALL: [Self; 3] = [Self::Differs, Self::Dropped, Self::Idle];

    /// How its lines begin.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::Dropped => "not carried over",
            Self::Idle => "without meaning here",
        }
    }
}

/// A key's place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    /// The list that it stands in, and its entry there.
    entry: Option<(&'static str, usize)>,
    /// What follows, without a point at its beginning.
    rest: String,
}

impl Path {
    /// The whole file.
    pub(super) fn whole() -> Self {
        Self {
            entry: None,
            rest: String::new(),
        }
    }

    /// An entry of a list.
    pub(super) fn entry(list: &'static str, at: usize) -> Self {
        Self {
            entry: Some((list, at)),
            rest: String::new(),
        }
    }

    /// A key below this one.
    pub(super) fn at(&self, key: &str) -> Self {
        let key = shown(key);
        Self {
            entry: self.entry,
            rest: if self.rest.is_empty() {
                key
            } else {
                format!("{}.{key}", self.rest)
            },
        }
    }
}

/// A name or a key as a line may show it: what looks like one, and no more of
/// it than that. Where the blank after a colon is forgotten, a credential is
/// part of the key.
pub(super) fn shown(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./@* ".contains(c);
    let mut short: String = name.chars().take_while(|c| word(*c)).take(80).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// Lines that differ in nothing but the entry of a list are one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Line {
    fate: Fate,
    list: Option<&'static str>,
    rest: String,
    why: String,
}

/// Everything that is said.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// In the order in which they were first said.
    lines: Vec<(usize, Line)>,
    entries: HashMap<usize, Vec<usize>>,
    known: HashMap<(Fate, Option<&'static str>, String, String), usize>,
}

impl Report {
    pub(super) fn say(&mut self, fate: Fate, path: &Path, why: impl Into<String>) {
        let why = why.into();
        let list = path.entry.map(|(list, _)| list);
        let key = (fate, list, path.rest.clone(), why.clone());
        let next = self.lines.len();
        let at = *self.known.entry(key).or_insert(next);
        if at == next {
            let rest = path.rest.clone();
            let line = Line {
                fate,
                list,
                rest,
                why,
            };
            self.lines.push((at, line));
        }
        if let Some((_, entry)) = path.entry {
            let entries = self.entries.entry(at).or_default();
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
    }

    pub(super) fn differs(&mut self, path: &Path, why: impl Into<String>) {
        self.say(Fate::Differs, path, why);
    }

    pub(super) fn dropped(&mut self, path: &Path, why: impl Into<String>) {
        self.say(Fate::Dropped, path, why);
    }

    /// The lines of one fate, as `PATH: why`.
    pub(super) fn of(&self, fate: Fate) -> impl Iterator<Item = String> {
        let lines = self.lines.iter().filter(move |(_, line)| line.fate == fate);
        lines.map(|(at, line)| {
            let mut text = String::new();
            if let Some(list) = line.list {
                let entries = self.entries.get(at).into_iter().flatten();
                let entries: Vec<String> = entries.map(ToString::to_string).collect();
                // Writing to a `String` cannot fail.
                let _ = write!(text, "{list}[{}]", entries.join(","));
                if !line.rest.is_empty() {
                    text.push('.');
                }
            }
            text.push_str(&line.rest);
            if !line.why.is_empty() {
                text.push_str(": ");
                text.push_str(&line.why);
            }
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_list_share_a_line() {
        let mut report = Report::default();
        for at in [0, 1, 1, 4] {
            let path = Path::entry("list", at).at("a").at("b");
            report.dropped(&path, "no counterpart");
        }
        report.differs(&Path::entry("list", 2), "why");
        report.dropped(&Path::whole().at("x").at("sk-1:secret\u{1b}"), "");
        let lines: Vec<_> = report.of(Fate::Dropped).collect();
        assert_eq!(lines, ["list[0,1,4].a.b: no counterpart", "x.sk-1…"]);
        assert_eq!(
            report.of(Fate::Differs).collect::<Vec<_>>(),
            ["list[2]: why"]
        );
        assert_eq!(report.of(Fate::Idle).count(), 0);
    }
}
