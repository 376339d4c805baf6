//! A file's bytes → a tree of nodes with places.

use saphyr_parser::{Marker, Parser, ScanError};

use super::node::{Node, What};
use super::problem::{Found, Place, shown};
use super::tree::{Stop, Tree, Variables};

/// Bytes of a file. A configuration of ten thousand models has one.
const MAX_BYTES: usize = 4 << 20;

/// Reads a file. `None` where it cannot be read as YAML; why is then among
/// the problems. An empty file is an empty mapping.
pub(super) fn read(
    bytes: &[u8],
    var: &dyn Fn(&str) -> Option<String>,
    found: &mut Found,
) -> Option<Node> {
    tree(bytes, Some(var), found)
}

/// The same for a file of somebody else's, where `${…}` is nothing special
/// and a merge key is a key.
pub(super) fn read_foreign(bytes: &[u8], found: &mut Found) -> Option<Node> {
    tree(bytes, None, found)
}

fn tree(bytes: &[u8], var: Option<Variables<'_>>, found: &mut Found) -> Option<Node> {
    let text = match plain_text(bytes) {
        Ok(text) => text,
        Err((place, why)) => {
            found.add(place, why);
            return None;
        }
    };
    let mut tree = Tree::new(var, found);
    for event in Parser::new_from_str(text) {
        let result = match event {
            Ok((event, span)) => tree.take(event, place(span.start)),
            Err(error) => Err(unreadable(&error, text)),
        };
        if let Err((place, why)) = result {
            found.add(place, why);
            return None;
        }
    }
    let empty = Node {
        place: Place::START,
        what: What::Map(Vec::new()),
    };
    Some(tree.root().unwrap_or(empty))
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        col: marker.col() + 1,
    }
}

/// The parser's own words, and what is behind them most often.
fn unreadable(error: &ScanError, text: &str) -> Stop {
    let place = place(*error.marker());
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let hint = if line.replace("${", "").contains(['{', '[']) && line.contains("${") {
        "; within `{…}` and `[…]` a variable stands in quotes: `\"${NAME}\"`"
    } else {
        ""
    };
    let why = shown(error.info());
    (place, format!("this is not valid YAML: {why}{hint}"))
}

/// The file as text that the parser reads to its end: it takes a NUL for the
/// end of its input, and would quietly ignore what comes after.
fn plain_text(bytes: &[u8]) -> Result<&str, Stop> {
    if bytes.len() > MAX_BYTES {
        let why = "the file is larger than 4 MiB, which no configuration needs";
        return Err((Place::START, why.to_owned()));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let why = "this byte is not UTF-8: save the file with that encoding";
        (end_of(before), why.to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    match text.find(odd) {
        None => Ok(text),
        Some(at) => {
            let code = text[at..].chars().next().map_or(0, u32::from);
            let why = format!(
                "YAML does not allow the control character U+{code:04X}: \
                 remove it, or write it as an escape in double quotes"
            );
            Err((end_of(&text[..at]), why))
        }
    }
}

/// The place just after some text.
fn end_of(text: &str) -> Place {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place {
        line: text.matches('\n').count() + 1,
        col: last.chars().count() + 1,
    }
}
