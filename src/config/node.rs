//! The small tree that a YAML file becomes: every node knows its place.

use std::sync::Arc;

use super::problem::{Place, shown};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) what: What,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum What {
    List(Vec<Node>),
    /// In the order of the file, no key twice.
    Map(Vec<(Key, Node)>),
    Scalar(Scalar),
    /// A value about which the problem is already told, so that nothing
    /// more is said of it.
    Unknown,
}

/// A mapping's key and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) text: Arc<str>,
}

/// A value that is neither list nor mapping.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// With variables replaced.
    pub(super) text: Arc<str>,
    /// Written without quotes, so that it may be a number, a boolean or
    /// nothing.
    pub(super) plain: bool,
    /// Whether a part of it came from the environment: then it is never
    /// shown.
    pub(super) expanded: bool,
}

/// What YAML's core schema takes a plain scalar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Bool(bool),
    Null,
    Number,
    Text,
}

impl Scalar {
    /// YAML 1.2's core schema (10.3.2). What came from the environment is
    /// text: its content decides nothing about the file's shape.
    pub(super) fn sort(&self) -> Sort {
        if !self.plain || self.expanded {
            return Sort::Text;
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => Sort::Null,
            "true" | "True" | "TRUE" => Sort::Bool(true),
            "false" | "False" | "FALSE" => Sort::Bool(false),
            text if is_number(text) => Sort::Number,
            _ => Sort::Text,
        }
    }

    /// The text as a message may show it.
    pub(super) fn shown(&self) -> String {
        if self.expanded {
            "the variable's value".to_owned()
        } else {
            format!("`{}`", shown(&self.text))
        }
    }
}

impl Node {
    /// What it is, for a message that expected something else. Never the
    /// value itself: it may be a credential in the wrong place.
    pub(super) fn described(&self) -> &'static str {
        match &self.what {
            What::List(_) => "a list",
            What::Map(_) => "a mapping",
            What::Unknown => "unreadable",
            What::Scalar(scalar) => match scalar.sort() {
                Sort::Bool(_) => "a boolean",
                Sort::Null => "empty",
                Sort::Number => "a number",
                Sort::Text => "text",
            },
        }
    }

    /// Nothing is written there.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.what, What::Scalar(scalar) if scalar.sort() == Sort::Null)
    }
}

/// Decimal, `0x` and `0o` integers, decimal fractions, `.inf` and `.nan`.
fn is_number(text: &str) -> bool {
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return true,
        ".nan" | ".NaN" | ".NAN" => return text == unsigned,
        _ => {}
    }
    // Rust reads `inf`, `nan` and `infinity` as well, YAML does not.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(text: &str) -> Sort {
        Scalar {
            text: text.into(),
            plain: true,
            expanded: false,
        }
        .sort()
    }

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        for number in [
            "0", "-7", "+3", "1.5", ".5", "1e3", "1.5E-3", "0x1F", "0o17", ".inf", "-.inf", ".nan",
        ] {
            assert_eq!(sort(number), Sort::Number, "{number}");
        }
        for text in [
            "inf",
            "nan",
            "5s",
            "1.2.3",
            "2024-10-21",
            "yes",
            "off",
            "0xZ",
            "127.0.0.1:80",
            "-",
            "+.nan",
        ] {
            assert_eq!(sort(text), Sort::Text, "{text}");
        }
        assert_eq!(sort("~"), Sort::Null);
        assert_eq!(sort("True"), Sort::Bool(true));
    }

    #[test]
    fn quotes_and_variables_make_text() {
        let quoted = Scalar {
            text: "5".into(),
            plain: false,
            expanded: false,
        };
        let variable = Scalar {
            text: "null".into(),
            plain: true,
            expanded: true,
        };
        assert_eq!((quoted.sort(), variable.sort()), (Sort::Text, Sort::Text));
        assert!(!variable.shown().contains("null"));
    }
}
