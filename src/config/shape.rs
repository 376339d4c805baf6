//! What is written: nodes → values, as the tables of keys say.
//!
//! Everything that is wrong is told where it stands and read on from there;
//! what could not be read is `None`, and no configuration comes of it.

use std::time::Duration;

use super::keys::{Form, Key, Section};
use super::near::unknown;
use super::node::{Key as Name, Node, Scalar, Sort, What};
use super::problem::{Found, Place};
use crate::base;

/// Entries of a list or a mapping of single values. Each is compared with all
/// others, which takes a moment for a thousand and minutes for all that a file
/// can hold.
const MAX_ITEMS: usize = 1000;

/// Clients' keys, which are not compared with each other.
const MAX_KEYS: usize = 10_000;

/// A mapping, sorted by its table of keys.
pub(super) struct Fields<'n> {
    /// Where the mapping begins, for what is missing in it.
    pub(super) place: Place,
    section: &'static Section,
    there: Vec<(&'static Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Reads a mapping; what is no mapping, or no key of the section, is
    /// told. One with nothing in it may be left empty.
    pub(super) fn of(node: &'n Node, section: &'static Section, found: &mut Found) -> Self {
        let mut fields = Self {
            place: node.place,
            section,
            there: Vec::new(),
        };
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in entries(node, section.name, found) {
            names.push(&name.text);
            match section.key(&name.text) {
                Some(key) => fields.there.push((key, value)),
                None => found.add(name.place, unknown(&name.text, section)),
            }
        }
        if matches!(node.what, What::Map(_)) || node.is_null() {
            for missing in section.required {
                if !names.contains(missing) {
                    let doc = section.key(missing).map_or("", |key| key.doc);
                    let why = format!("{} needs `{missing}`. {doc}", section.name);
                    found.add(node.place, why);
                }
            }
        }
        fields
    }

    /// An empty mapping, for a section that is not there.
    pub(super) fn none(place: Place, section: &'static Section) -> Self {
        Self {
            place,
            section,
            there: Vec::new(),
        }
    }

    /// The value of a key, where it is written.
    pub(super) fn node(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(self.section.key(name).is_some(), "{name} is in the table");
        let entry = self.there.iter().find(|(key, _)| key.name == name)?;
        Some(entry.1)
    }

    /// The table's default for a key.
    pub(super) fn default(&self, name: &str) -> Option<&'static str> {
        let default = self.section.key(name)?.default;
        (!default.is_empty()).then_some(default)
    }

    /// A section within this one; an empty one where it is not written.
    pub(super) fn section(&self, name: &str, found: &mut Found) -> Self {
        let key = self.section.key(name);
        let Some(Form::Section(section)) = key.map(|key| &key.form) else {
            return Self::none(self.place, self.section);
        };
        match self.node(name) {
            Some(node) => Self::of(node, section, found),
            None => Self::none(self.place, section),
        }
    }

    /// Named sections, in the order of the file.
    pub(super) fn sections(&self, name: &str, found: &mut Found) -> Vec<(&'n Name, Self)> {
        let key = self.section.key(name);
        let (Some(Form::Sections(section)), Some(node)) =
            (key.map(|key| &key.form), self.node(name))
        else {
            return Vec::new();
        };
        entries(node, &format!("`{name}`"), found)
            .iter()
            .map(|(name, node)| (name, Self::of(node, section, found)))
            .collect()
    }

    /// A list of sections.
    pub(super) fn list(&self, name: &str, found: &mut Found) -> Vec<Self> {
        let key = self.section.key(name);
        let Some(Form::List(section)) = key.map(|key| &key.form) else {
            return Vec::new();
        };
        let most = if name == "keys" { MAX_KEYS } else { MAX_ITEMS };
        self.up_to(most, name, found)
            .iter()
            .map(|node| Self::of(node, section, found))
            .collect()
    }

    /// A list's items; none where it is not written.
    pub(super) fn items(&self, name: &str, found: &mut Found) -> &'n [Node] {
        self.up_to(MAX_ITEMS, name, found)
    }

    fn up_to(&self, most: usize, name: &str, found: &mut Found) -> &'n [Node] {
        let Some(node) = self.node(name) else {
            return &[];
        };
        match &node.what {
            What::List(items) if items.len() <= most => items,
            What::List(_) => {
                found.add(node.place, format!("`{name}` has more than {most} entries"));
                &[]
            }
            What::Unknown => &[],
            What::Map(_) | What::Scalar(_) if node.is_null() => &[],
            What::Map(_) | What::Scalar(_) => {
                found.add(
                    node.place,
                    format!(
                        "`{name}` is {}, but takes a list: `[a, b]`",
                        node.described()
                    ),
                );
                &[]
            }
        }
    }

    /// A mapping's entries; none where it is not written.
    pub(super) fn pairs(&self, name: &str, found: &mut Found) -> &'n [(Name, Node)] {
        let Some(node) = self.node(name) else {
            return &[];
        };
        let entries = entries(node, &format!("`{name}`"), found);
        if entries.len() > MAX_ITEMS {
            found.add(
                node.place,
                format!("`{name}` has more than {MAX_ITEMS} entries"),
            );
            return &[];
        }
        entries
    }

    pub(super) fn scalar(&self, name: &str, found: &mut Found) -> Option<(&'n Scalar, Place)> {
        let node = self.node(name)?;
        scalar(node, &format!("`{name}`"), found).map(|scalar| (scalar, node.place))
    }

    /// Text, as it is written.
    pub(super) fn text(&self, name: &str, found: &mut Found) -> Option<(&'n Scalar, Place)> {
        let node = self.node(name)?;
        text(node, &format!("`{name}`"), found).map(|scalar| (scalar, node.place))
    }

    /// A list of texts, none of them empty.
    pub(super) fn texts(&self, name: &str, found: &mut Found) -> Vec<(&'n Scalar, Place)> {
        let mut texts = Vec::new();
        for node in self.items(name, found) {
            if let Some(scalar) = text(node, &format!("an entry of `{name}`"), found) {
                texts.push((scalar, node.place));
            }
        }
        texts
    }

    pub(super) fn boolean(&self, name: &str, found: &mut Found) -> Option<bool> {
        let Some((scalar, place)) = self.scalar(name, found) else {
            return self.default(name).map(|text| text == "true");
        };
        match (&*scalar.text, scalar.plain) {
            ("true" | "True" | "TRUE", true) => Some(true),
            ("false" | "False" | "FALSE", true) => Some(false),
            _ => {
                found.add(
                    place,
                    format!("`{name}` is either `true` or `false`, without quotes"),
                );
                None
            }
        }
    }

    pub(super) fn whole(&self, name: &str, found: &mut Found) -> Option<u32> {
        let Some(Form::Whole(least, most)) = self.section.key(name).map(|key| &key.form) else {
            return None;
        };
        let Some((scalar, place)) = self.scalar(name, found) else {
            return self.default(name)?.parse().ok();
        };
        let number = scalar.text.parse().ok().filter(|_| scalar.plain);
        let number = number.filter(|number| (least..=most).contains(&number));
        if number.is_none() {
            let why = format!("`{name}` is a whole number from {least} to {most}, without quotes");
            found.add(place, why);
        }
        number
    }

    pub(super) fn duration(&self, name: &str, found: &mut Found) -> Option<Duration> {
        let Some((scalar, place)) = self.scalar(name, found) else {
            return self
                .default(name)
                .and_then(|text| base::duration(text).ok());
        };
        let zero = matches!(self.section.key(name)?.form, Form::Duration { zero: true });
        match base::duration(&scalar.text) {
            Ok(duration) if zero || !duration.is_zero() => Some(duration),
            Ok(_) => {
                found.add(
                    place,
                    format!("`{name}` cannot be zero: it would fail everything at once"),
                );
                None
            }
            Err(error) => {
                found.add(place, format!("`{name}` cannot be read: {error}"));
                None
            }
        }
    }

    pub(super) fn size(&self, name: &str, found: &mut Found) -> Option<usize> {
        let Some(Form::Size(least, most)) = self.section.key(name).map(|key| &key.form) else {
            return None;
        };
        let Some((scalar, place)) = self.scalar(name, found) else {
            return self.default(name).and_then(|text| base::size(text).ok());
        };
        match base::size(&scalar.text) {
            Ok(size) if (least..=most).contains(&&size) => Some(size),
            Ok(_) => {
                let why = format!(
                    "`{name}` lies between {} and {}",
                    bytes(*least),
                    bytes(*most)
                );
                found.add(place, why);
                None
            }
            Err(error) => {
                found.add(place, format!("`{name}` cannot be read: {error}"));
                None
            }
        }
    }

    /// One of the words that the table allows.
    pub(super) fn choice(&self, name: &str, found: &mut Found) -> Option<&'static str> {
        let Some(Form::Choice(words)) = self.section.key(name).map(|key| &key.form) else {
            return None;
        };
        let Some((scalar, place)) = self.scalar(name, found) else {
            return self.default(name);
        };
        let word = words.iter().find(|word| **word == &*scalar.text);
        if word.is_none() {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let why = format!(
                "`{name}` is one of {}, not {}",
                words.join(", "),
                scalar.shown()
            );
            found.add(place, why);
        }
        word.copied()
    }
}

/// A mapping's entries. Nothing at all stands for an empty one.
fn entries<'n>(node: &'n Node, what: &str, found: &mut Found) -> &'n [(Name, Node)] {
    match &node.what {
        What::Map(entries) => entries,
        What::Unknown => &[],
        What::List(_) | What::Scalar(_) if node.is_null() => &[],
        What::List(_) | What::Scalar(_) => {
            let why = format!(
                "{what} is {}, but takes a mapping: `key: value`",
                node.described()
            );
            found.add(node.place, why);
            &[]
        }
    }
}

/// A value that is neither list nor mapping nor left out.
pub(super) fn scalar<'n>(node: &'n Node, what: &str, found: &mut Found) -> Option<&'n Scalar> {
    match &node.what {
        What::Unknown => None,
        What::Scalar(scalar) if scalar.sort() == Sort::Null => {
            let why = format!("{what} has no value: write one, or leave the key out");
            found.add(node.place, why);
            None
        }
        What::Scalar(scalar) => Some(scalar),
        What::List(_) | What::Map(_) => {
            let why = format!("{what} is {}, but takes a single value", node.described());
            found.add(node.place, why);
            None
        }
    }
}

/// Text that is not empty.
pub(super) fn text<'n>(node: &'n Node, what: &str, found: &mut Found) -> Option<&'n Scalar> {
    let scalar = scalar(node, what, found)?;
    let why = match scalar.sort() {
        Sort::Text if scalar.text.trim().is_empty() => "is empty",
        Sort::Text => return Some(scalar),
        Sort::Bool(_) | Sort::Null | Sort::Number => {
            let sort = node.described();
            let why = format!("{what} is {sort}, but takes text: put it in quotes");
            found.add(node.place, why);
            return None;
        }
    };
    let variable = if scalar.expanded {
        ": its variable is set to nothing"
    } else {
        ""
    };
    found.add(node.place, format!("{what} {why}{variable}"));
    None
}

fn bytes(size: usize) -> String {
    match size.trailing_zeros() {
        30.. => format!("{}GiB", size >> 30),
        20.. => format!("{}MiB", size >> 20),
        _ => format!("{}KiB", size >> 10),
    }
}
