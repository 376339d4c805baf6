//! What a model wants otherwise: `request` → [`Edits`].

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::node::{Node, Scalar, Sort, What};
use crate::config::problem::{Found, Place, shown};
use crate::config::shape::{self, Fields};
use crate::wire::Edits;

/// Members whose values are Standin's own business.
const OURS: [&str; 3] = ["model", "models", "stream"];

/// Reads `drop`, `rename` and `set`.
pub(in crate::config) fn edits(fields: &Fields<'_>, found: &mut Found) -> Arc<Edits> {
    let mut edits = Edits::default();
    for (name, place) in fields.texts("drop", found) {
        if !ours(&name.text, name, place, found) {
            if edits.drop.iter().any(|other| **other == *name.text) {
                found.add(place, format!("`drop` names {} twice", name.shown()));
            }
            edits.drop.push((&*name.text).into());
        }
    }
    for (old, node) in fields.pairs("rename", found) {
        let what = format!("the new name of `{}`", shown(&old.text));
        let Some(new) = shape::text(node, &what, found) else {
            continue;
        };
        let mut clash = ours_by_name(&old.text, old.place, found);
        clash |= ours(&new.text, new, node.place, found);
        if edits.drop.iter().any(|name| **name == *old.text) {
            let name = shown(&old.text);
            found.add(
                old.place,
                format!("`{name}` is dropped, so it cannot be renamed: do one of the two"),
            );
            clash = true;
        }
        if old.text == new.text {
            found.add(
                node.place,
                "a member is renamed to another name than its own",
            );
            clash = true;
        }
        if edits.rename.iter().any(|(_, other)| **other == *new.text) {
            found.add(
                node.place,
                format!(
                    "two members are renamed to {}: one of them would be lost",
                    new.shown()
                ),
            );
            clash = true;
        }
        if !clash {
            edits
                .rename
                .push(((&*old.text).into(), (&*new.text).into()));
        }
    }
    for (name, node) in fields.pairs("set", found) {
        if ours_by_name(&name.text, name.place, found) {
            continue;
        }
        let mut json = String::new();
        write(node, &mut json, found);
        edits.set.push(((&*name.text).into(), Bytes::from(json)));
    }
    Arc::new(edits)
}

fn ours(text: &str, scalar: &Scalar, place: Place, found: &mut Found) -> bool {
    let ours = OURS.contains(&text);
    if ours {
        found.add(place, refusal(&scalar.shown()));
    }
    ours
}

fn ours_by_name(name: &str, place: Place, found: &mut Found) -> bool {
    let ours = OURS.contains(&name);
    if ours {
        found.add(place, refusal(&format!("`{name}`")));
    } else if name.is_empty() {
        found.add(place, "a member has a name");
    }
    ours || name.is_empty()
}

fn refusal(name: &str) -> String {
    format!(
        "{name} cannot be edited: `model`, `models` and `stream` decide where a request goes and how its answer comes"
    )
}

/// Appends a YAML value as JSON. The tree's depth is bounded where it is
/// built.
fn write(node: &Node, out: &mut String, found: &mut Found) {
    match &node.what {
        What::Unknown => out.push_str("null"),
        What::Scalar(scalar) => match scalar.sort() {
            Sort::Null => out.push_str("null"),
            Sort::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Sort::Text => text(&scalar.text, out),
            Sort::Number => match number(&scalar.text) {
                Some(number) => out.push_str(&number),
                None => found.add(
                    node.place,
                    "JSON has no such number: neither infinity nor what is none",
                ),
            },
        },
        What::List(nodes) => {
            out.push('[');
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(node, out, found);
            }
            out.push(']');
        }
        What::Map(entries) => {
            out.push('{');
            for (at, (name, node)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                text(&name.text, out);
                out.push(':');
                write(node, out, found);
            }
            out.push('}');
        }
    }
}

fn text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A YAML number in JSON's spelling, digit for digit where JSON has one for
/// it.
pub(in crate::config) fn number(text: &str) -> Option<String> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix)
                .ok()
                .map(|n| n.to_string());
        }
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let fraction = digits.find(['.', 'e', 'E']).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(fraction);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    // `1.` and `1.e3` have no digit behind the point, which JSON wants.
    let rest = match rest.strip_prefix('.') {
        Some(after) if !after.starts_with(|c: char| c.is_ascii_digit()) => format!(".0{after}"),
        _ => rest.to_owned(),
    };
    let json = format!("{sign}{whole}{rest}");
    // Also refuses `.inf`, and what no reader could hold.
    serde_json::from_str::<serde_json::Number>(&json)
        .ok()
        .map(|_| json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (yaml, json) in [
            ("0", "0"),
            ("007", "7"),
            ("-0", "-0"),
            ("+12", "12"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.50", "1.50"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("1.e3", "1.0e3"),
            ("1E5", "1E5"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            assert_eq!(number(yaml).as_deref(), Some(json), "{yaml}");
        }
        for none in [".inf", "-.inf", ".nan", "1e999", "0xfffffffffffffffff"] {
            assert_eq!(number(none), None, "{none}");
        }
    }

    #[test]
    fn text_is_escaped_as_json_wants_it() {
        let mut out = String::new();
        text("a\"b\\c\nd\te\u{1f}é", &mut out);
        assert_eq!(
            serde_json::from_str::<String>(&out).unwrap(),
            "a\"b\\c\nd\te\u{1f}é"
        );
    }
}
