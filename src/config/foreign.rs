//! YAML that is no configuration of Standin's, and what an import has to know
//! before it writes one.

use serde_json::{Map, Value};

use super::check::{free_header, number, wrong_name};
use super::node::{Node, Scalar, Sort, What};
use super::problem::{Found, Problems};
use super::source;
use super::url::base_url;

/// Reads one document as JSON has it, with merge keys (`<<`) merged in: what
/// stands in the mapping itself wins, then what is merged in first. `${…}` is
/// nothing special. A number that JSON does not have is text.
///
/// Size and depth are bounded as for a configuration, aliases included.
///
/// # Errors
/// Where it is not YAML, or has a key twice, a tag or a second document.
pub fn foreign(name: &str, text: &[u8]) -> Result<Value, Problems> {
    let mut found = Found::default();
    let root = source::read_foreign(text, &mut found);
    match root {
        Some(root) if found.is_empty() => Ok(value(root)),
        Some(_) | None => Err(found.into_problems(name)),
    }
}

fn value(node: Node) -> Value {
    match node.what {
        What::Unknown => Value::Null,
        What::Scalar(scalar) => single(&scalar),
        What::List(nodes) => Value::Array(nodes.into_iter().map(value).collect()),
        What::Map(entries) => {
            let mut map = Map::new();
            let mut merged = Vec::new();
            for (key, node) in entries {
                let value = value(node);
                if &*key.text != "<<" {
                    map.insert((*key.text).to_owned(), value);
                } else if let Value::Object(more) = value {
                    merged.push(more);
                } else if let Value::Array(all) = value {
                    for one in all {
                        if let Value::Object(more) = one {
                            merged.push(more);
                        }
                    }
                } else {
                    map.insert((*key.text).to_owned(), value);
                }
            }
            for (key, value) in merged.into_iter().flatten() {
                map.entry(key).or_insert(value);
            }
            Value::Object(map)
        }
    }
}

fn single(scalar: &Scalar) -> Value {
    let text = || Value::String((*scalar.text).to_owned());
    match scalar.sort() {
        Sort::Null => Value::Null,
        Sort::Bool(is) => Value::Bool(is),
        Sort::Text => text(),
        Sort::Number => {
            let json = number(&scalar.text);
            let number = json.and_then(|json| serde_json::from_str(&json).ok());
            number.map_or_else(text, Value::Number)
        }
    }
}

/// What is wrong with a provider's name, if anything is.
pub fn wrong_provider_name(name: &str) -> Option<String> {
    wrong_name(name)
}

/// What is wrong with a provider's base URL, if anything is; no part of it is
/// repeated.
pub fn wrong_base_url(url: &str) -> Option<&'static str> {
    base_url(url).err()
}

/// What is wrong with a header that a provider is to be sent, if anything is;
/// the header of its credential is not looked at.
pub fn wrong_header(name: &str) -> Option<String> {
    free_header(name).err()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_keys_are_merged_and_variables_stay() {
        let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\n\
                    c: {<<: [*a, *b], x: '${X}'}\nd: {<<: *b}\ne: {f: yes, g: .inf, h: 1e-06}\n";
        let read = foreign("x.yaml", text.as_bytes()).unwrap();
        assert_eq!(read["c"], json!({"x": "${X}", "y": 2, "z": 4}));
        assert_eq!(read["d"], json!({"y": 3, "z": 4}));
        assert_eq!(read["e"], json!({"f": "yes", "g": ".inf", "h": 1e-6}));
    }

    #[test]
    fn what_is_not_one_document_is_told() {
        for (text, why) in [
            ("a: [", "not valid YAML"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("a: 1\na: 2\n", "twice"),
            ("a: !x 1\n", "tags"),
        ] {
            let problems = foreign("x.yaml", text.as_bytes()).unwrap_err();
            assert!(problems.to_string().contains(why), "{problems}");
        }
    }
}
