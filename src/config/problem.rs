//! What is wrong with a configuration, and where.

use std::fmt;

/// A place in a file: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) col: usize,
}

impl Place {
    /// Where what is missing altogether is reported.
    pub(super) const START: Self = Self { line: 1, col: 1 };
}

/// One thing that is wrong. Its text says what would be right, and shows
/// nothing that came out of an environment variable, nor any part of a
/// credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub col: usize,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.col, self.text)
    }
}

/// Everything that is wrong with one file, in the order of its lines; never
/// empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file's name, as it was given.
    pub file: String,
    /// All of them.
    pub all: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.all.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is read.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Problem>);

impl Found {
    pub(super) fn add(&mut self, place: Place, text: impl Into<String>) {
        self.0.push(Problem {
            line: place.line,
            col: place.col,
            text: text.into(),
        });
    }

    /// Whether there is still sense in a search for what may have been meant:
    /// in a file with hundreds of problems it would take its time.
    pub(super) fn has_few(&self) -> bool {
        self.0.len() < 100
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the file. What is reached twice, through an alias, is
    /// said once.
    pub(super) fn into_problems(self, file: &str) -> Problems {
        let mut all = self.0;
        all.sort();
        all.dedup();
        Problems {
            file: file.to_owned(),
            all,
        }
    }
}

/// A name as a message shows it: at most 60 characters, none of them able to
/// move a terminal's cursor.
pub(super) fn shown(name: &str) -> String {
    let mut out = String::new();
    for (count, c) in name.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A key as a message shows it: only so much of it as looks like one. Where
/// the blank after the colon is forgotten, a credential is part of the key.
pub(super) fn shown_key(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    match name.find(|c| !word(c)) {
        Some(end) => format!("{}…", shown(&name[..end])),
        None => shown(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_once_and_in_the_order_of_the_file() {
        let mut found = Found::default();
        found.add(Place { line: 10, col: 1 }, "third");
        found.add(Place { line: 2, col: 4 }, "second");
        found.add(Place { line: 2, col: 3 }, "first");
        found.add(Place { line: 2, col: 4 }, "second");
        assert_eq!(
            found.into_problems("a.yaml").to_string(),
            "a.yaml:2:3: first\na.yaml:2:4: second\na.yaml:10:1: third"
        );
    }

    #[test]
    fn a_name_is_shown_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(shown(&"x".repeat(99)).chars().count(), 61);
        assert_eq!(shown_key("api_key:sk-1"), "api_key…");
    }
}
