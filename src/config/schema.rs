//! The tables of keys as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::keys::{Form, Key, ROOT, Section, returnable};

/// A JSON Schema (draft 2020-12) of the configuration. `${NAME}` is allowed
/// wherever a value is read from text.
pub fn schema() -> Value {
    let mut schema = section(&ROOT);
    if let Some(root) = schema.as_object_mut() {
        let head = [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("title", "Standin's configuration"),
            (
                "description",
                "`${NAME}` in a value takes an environment variable; `$${` stands for `${`.",
            ),
        ];
        for (name, text) in head {
            root.insert(name.to_owned(), json!(text));
        }
    }
    schema
}

fn section(section: &Section) -> Value {
    let keys = section.keys.iter();
    let properties: Map<String, Value> = keys.map(|key| (key.name.to_owned(), of(key))).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !section.required.is_empty() {
        schema["required"] = json!(section.required);
    }
    schema
}

fn of(key: &Key) -> Value {
    let mut schema = form(&key.form);
    // A mapping or a list with nothing in it may be left empty.
    if schema["type"] == "object" || schema["type"] == "array" {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema["description"] = json!(key.doc);
    if !key.default.is_empty() {
        schema["default"] = default(key);
    }
    schema
}

/// The default as JSON has it.
fn default(key: &Key) -> Value {
    match key.form {
        Form::Bool | Form::Failures | Form::Ratio | Form::Share | Form::Whole(..) => {
            serde_json::from_str(key.default).unwrap_or_else(|_| json!(key.default))
        }
        Form::Address
        | Form::Addresses(_)
        | Form::Anything
        | Form::Choice(_)
        | Form::Digest
        | Form::Duration { .. }
        | Form::List(_)
        | Form::Pairs
        | Form::Path
        | Form::Price
        | Form::Secret
        | Form::Section(_)
        | Form::Sections(_)
        | Form::Size(..)
        | Form::Text
        | Form::Texts
        | Form::Url
        | Form::Usd => json!(key.default),
    }
}

/// Text that a variable gives.
fn variable() -> Value {
    json!({ "type": "string", "pattern": r"\$\{" })
}

fn form(form: &Form) -> Value {
    match form {
        Form::Anything => json!({ "type": "object" }),
        Form::Address => address(),
        Form::Addresses(of) => {
            // The whole file has such a form once.
            let one = json!({ "$ref": "#/properties/listen/anyOf/0" });
            json!({ "anyOf": [
                { "anyOf": [address(), section(of)] },
                { "type": "array", "items": one, "minItems": 1 },
            ] })
        }
        Form::Bool => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        Form::Choice(words) => choice(words),
        Form::Digest => json!({ "type": "string", "pattern": r"^[0-9A-Fa-f]{64}$|\$\{" }),
        Form::Duration { .. } => json!({
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h)$|\$\{",
        }),
        Form::Failures => {
            let labels: Vec<&str> = returnable().collect();
            json!({
                "type": "array",
                "items": { "anyOf": [
                    { "enum": labels },
                    { "type": "integer", "minimum": 400, "maximum": 599 },
                    variable(),
                ] },
            })
        }
        Form::List(of) => json!({ "type": "array", "items": section(of), "minItems": 1 }),
        Form::Pairs => json!({
            "type": "object",
            "additionalProperties": { "type": "string", "minLength": 1 },
        }),
        Form::Path | Form::Secret | Form::Text => json!({ "type": "string", "minLength": 1 }),
        Form::Price => json!({
            "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1_000_000 }, variable()],
        }),
        Form::Ratio => json!({
            "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, variable()],
        }),
        Form::Section(of) => section(of),
        Form::Sections(of) => json!({ "type": "object", "additionalProperties": section(of) }),
        Form::Share => json!({
            "anyOf": [{ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }, variable()],
        }),
        Form::Size(..) => json!({
            "type": "string",
            "pattern": r"^[0-9]+ *(B|KiB|MiB|GiB)$|\$\{",
        }),
        Form::Texts => json!({
            "type": "array",
            "items": { "type": "string", "minLength": 1 },
        }),
        Form::Url => json!({ "type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://|\$\{" }),
        Form::Usd => json!({
            "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, variable()],
        }),
        Form::Whole(least, most) => json!({
            "anyOf": [{ "type": "integer", "minimum": least, "maximum": most }, variable()],
        }),
    }
}

fn address() -> Value {
    json!({ "type": "string", "pattern": r":[0-9]+$|\$\{" })
}

/// Words, and those that YAML takes for numbers as numbers too.
fn choice(words: &[&str]) -> Value {
    let numbers = words.iter().filter_map(|word| word.parse::<u32>().ok());
    let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    values.extend(numbers.map(|number| json!(number)));
    json!({ "anyOf": [{ "enum": values }, variable()] })
}
