//! A configuration of Standin's on its way to paper.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// What a variable of the environment stands for: a check of the configuration
/// needs a value of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Address,
    Digest,
    Text,
    Version,
}

/// A value as it is written: `${NAME}` is a variable, `$${` two characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Written(pub(super) String);

impl Written {
    /// A text that is what it is.
    pub(super) fn literal(text: &str) -> Self {
        Self(text.replace("${", "$${"))
    }

    pub(super) fn variable(name: &str) -> Self {
        Self(format!("${{{name}}}"))
    }
}

/// Where deployments are sent. Two of them that agree in all of this share a
/// provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) azure: bool,
    pub(super) base_url: Written,
    pub(super) api_key: Option<Written>,
    pub(super) api_version: Option<Written>,
    pub(super) headers: Vec<(String, Written)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timeouts {
    pub(super) first_token: Option<f64>,
    pub(super) answer: Option<f64>,
    pub(super) total: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) provider: usize,
    pub(super) upstream_model: Written,
    pub(super) weight: Option<u32>,
    /// The mapping under `price`, its braces included.
    pub(super) price: Option<String>,
}

/// What a model wants otherwise in a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Request {
    pub(super) drop: Vec<String>,
    pub(super) rename: Vec<(String, String)>,
    pub(super) set: Vec<(String, Value)>,
}

impl Request {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) targets: Vec<Target>,
    pub(super) fallbacks: Vec<String>,
    pub(super) timeouts: Timeouts,
    pub(super) request: Request,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) sha256: Written,
    /// All, where there are none.
    pub(super) models: Vec<String>,
}

/// A whole configuration.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Lines of what is to know about it.
    pub(super) head: Vec<String>,
    pub(super) listen: Option<&'static str>,
    /// Ready made sections: name and keys.
    pub(super) sections: BTreeMap<&'static str, Vec<(&'static str, String)>>,
    pub(super) providers: Vec<(String, Place)>,
    pub(super) default_provider: Option<usize>,
    pub(super) models: Vec<Model>,
    pub(super) key: Option<Key>,
    pub(super) variables: BTreeMap<String, Holds>,
}

impl Draft {
    /// Notes a variable; `false` where it stands for something else already.
    pub(super) fn uses(&mut self, name: &str, holds: Holds) -> bool {
        *self.variables.entry(name.to_owned()).or_insert(holds) == holds
    }

    /// The configuration as YAML, with its head as comments.
    pub(super) fn yaml(&self) -> String {
        let mut out = String::new();
        for line in &self.head {
            let line = format!("# {line}");
            out += line.trim_end();
            out.push('\n');
        }
        out.push('\n');
        if let Some(listen) = self.listen {
            // Writing to a `String` cannot fail, here and below.
            let _ = writeln!(out, "listen: {listen}\n");
        }
        out += "providers:\n";
        for (name, place) in &self.providers {
            write_place(&mut out, name, place);
        }
        if let Some((name, _)) = self.default_provider.and_then(|at| self.providers.get(at)) {
            let _ = writeln!(out, "\ndefault_provider: {}", scalar(name));
        }
        if !self.models.is_empty() {
            out += "\nmodels:\n";
        }
        for model in &self.models {
            self.write_model(&mut out, model);
        }
        for (name, keys) in &self.sections {
            let _ = writeln!(out, "\n{name}:");
            for (key, value) in keys {
                let _ = writeln!(out, "  {key}: {value}");
            }
        }
        if let Some(key) = &self.key {
            let _ = writeln!(out, "\nkeys:\n  - name: {}", key.name);
            let _ = writeln!(out, "    sha256: {}", quoted(&key.sha256.0));
            if !key.models.is_empty() {
                out += "    models:\n";
            }
            for name in &key.models {
                let _ = writeln!(out, "      - {}", literal(name));
            }
        }
        out
    }

    fn write_model(&self, out: &mut String, model: &Model) {
        let _ = writeln!(out, "  {}:", scalar(&model.name));
        if let [only] = model.targets.as_slice() {
            let _ = writeln!(out, "    provider: {}", self.provider(only));
            let _ = writeln!(
                out,
                "    upstream_model: {}",
                scalar(&only.upstream_model.0)
            );
            if let Some(price) = &only.price {
                let _ = writeln!(out, "    price: {price}");
            }
        } else {
            out.push_str("    targets:\n");
        }
        for target in model.targets.iter().filter(|_| model.targets.len() > 1) {
            let _ = writeln!(out, "      - provider: {}", self.provider(target));
            let name = scalar(&target.upstream_model.0);
            let _ = writeln!(out, "        upstream_model: {name}");
            if let Some(weight) = target.weight {
                let _ = writeln!(out, "        weight: {weight}");
            }
            if let Some(price) = &target.price {
                let _ = writeln!(out, "        price: {price}");
            }
        }
        if !model.fallbacks.is_empty() {
            let names: Vec<String> = model.fallbacks.iter().map(|name| literal(name)).collect();
            let _ = writeln!(out, "    fallbacks: [{}]", names.join(", "));
        }
        let limits = [
            ("first_token", model.timeouts.first_token),
            ("answer", model.timeouts.answer),
            ("total", model.timeouts.total),
        ];
        let limits: Vec<String> = limits
            .into_iter()
            .filter_map(|(name, limit)| Some(format!("{name}: {}", duration(limit?))))
            .collect();
        if !limits.is_empty() {
            let _ = writeln!(out, "    timeouts: {{ {} }}", limits.join(", "));
        }
        if !model.request.is_empty() {
            write_request(out, &model.request);
        }
    }

    fn provider(&self, target: &Target) -> String {
        let provider = self.providers.get(target.provider);
        provider.map_or_else(String::new, |(name, _)| scalar(name))
    }
}

fn write_place(out: &mut String, name: &str, place: &Place) {
    let _ = writeln!(out, "  {}:", scalar(name));
    if place.azure {
        out.push_str("    kind: azure\n");
    }
    let _ = writeln!(out, "    base_url: {}", scalar(&place.base_url.0));
    if let Some(key) = &place.api_key {
        let _ = writeln!(out, "    api_key: {}", quoted(&key.0));
    }
    if let Some(version) = &place.api_version {
        let _ = writeln!(out, "    api_version: {}", quoted(&version.0));
    }
    if !place.headers.is_empty() {
        out.push_str("    headers:\n");
    }
    for (name, value) in &place.headers {
        let _ = writeln!(out, "      {}: {}", scalar(name), quoted(&value.0));
    }
}

fn write_request(out: &mut String, request: &Request) {
    out.push_str("    request:\n");
    if !request.drop.is_empty() {
        let names: Vec<String> = request.drop.iter().map(|name| literal(name)).collect();
        let _ = writeln!(out, "      drop: [{}]", names.join(", "));
    }
    if !request.rename.is_empty() {
        let pairs = request.rename.iter();
        let pairs: Vec<String> = pairs
            .map(|(old, new)| format!("{}: {}", scalar(old), literal(new)))
            .collect();
        let _ = writeln!(out, "      rename: {{ {} }}", pairs.join(", "));
    }
    if !request.set.is_empty() {
        out.push_str("      set:\n");
    }
    for (name, value) in &request.set {
        let _ = writeln!(out, "        {}: {}", scalar(name), flow(value));
    }
}

/// A text in which `${` is two characters.
fn literal(text: &str) -> String {
    scalar(&Written::literal(text).0)
}

/// A text, with quotes where it needs them.
fn scalar(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic();
    let later = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    // YAML takes these for something else, in one version or another.
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(first)
        && (text.chars().all(later) || is_address(text))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// A URL of letters that mean nothing to YAML.
fn is_address(text: &str) -> bool {
    let later = |c: char| c.is_ascii_alphanumeric() || "_./-:".contains(c);
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.chars().all(later) && !rest.ends_with(':'))
}

/// A text in double quotes, no control character as it is.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Also what YAML takes for the end of a line, or for no text.
            c if c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value of JSON in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(&Written::literal(text).0),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(flow).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(all) => {
            let all = all.iter();
            let all: Vec<String> = all
                .map(|(name, value)| format!("{}: {}", quoted(name), flow(value)))
                .collect();
            format!("{{{}}}", all.join(", "))
        }
    }
}

/// Seconds as a duration.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.fract() == 0.0;
    if whole && seconds % 60.0 == 0.0 {
        return format!("{}m", seconds / 60.0);
    }
    if whole {
        return format!("{seconds}s");
    }
    format!("{}ms", (seconds * 1000.0).round().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_quotes_where_they_need_them() {
        for (text, want) in [
            ("gpt-4o", "gpt-4o"),
            ("openai/gpt-4.1", "openai/gpt-4.1"),
            ("https://a.b:8000/v1", "https://a.b:8000/v1"),
            ("4o", "\"4o\""),
            ("No", "\"No\""),
            ("a: b", "\"a: b\""),
            ("*", "\"*\""),
            ("${X}", "\"${X}\""),
            ("a\"\u{1b}\u{85}", "\"a\\\"\\u001b\\u0085\""),
        ] {
            assert_eq!(scalar(text), want);
        }
        assert_eq!(literal("${X}"), "\"$${X}\"");
    }

    #[test]
    fn durations_have_a_unit() {
        for (seconds, want) in [
            (600.0, "10m"),
            (45.0, "45s"),
            (0.25, "250ms"),
            (1e-9, "1ms"),
        ] {
            assert_eq!(duration(seconds), want);
        }
    }
}
