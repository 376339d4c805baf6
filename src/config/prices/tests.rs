//! The built-in list itself.

use std::io;
use std::path::Path;

use super::*;
use crate::base::ModelName;
use crate::config::{Config, Surroundings, builtin, load};
use crate::usage::Tokens;

/// The price of a model at a host, in the words of the ledger.
fn price(host: &str, model: &str) -> Option<String> {
    let mut rules = at(host).iter();
    let rule = rules.find(|rule| matches(&rule.models, model))?;
    Some(rule.price.json().to_owned())
}

#[test]
fn nothing_is_wrong_with_the_list() {
    let mut found = Found::default();
    let known = read(TEXT, &mut found);
    assert_eq!(found.into_problems("conf/prices.yaml").to_string(), "");
    assert!(known.len() >= 8, "{known:?}");
    for known in &known {
        assert!(
            !known.hosts.is_empty() && !known.prices.is_empty(),
            "{known:?}"
        );
    }
}

#[test]
fn a_model_that_is_not_listed_has_no_price() {
    assert_eq!(price("api.openai.com", "gpt-99"), None);
    assert_eq!(price("api.openai.com", "gpt-5.5-mega"), None);
    assert_eq!(price("example.com", "gpt-4o"), None);
    assert_eq!(
        price("eu.api.openai.com", "gpt-4o"),
        None,
        "regions cost more"
    );
}

#[test]
fn dated_names_cost_what_their_model_does() {
    let usual = price("api.openai.com", "gpt-4o").unwrap();
    assert_eq!(
        price("api.openai.com", "gpt-4o-2024-08-06"),
        Some(usual.clone())
    );
    assert_ne!(price("api.openai.com", "gpt-4o-2024-05-13"), Some(usual));
}

#[test]
fn no_entry_is_hidden_by_one_before_it() {
    for known in read(TEXT, &mut Found::default()) {
        for (at, rule) in known.prices.iter().enumerate() {
            let name = rule.models.replace('*', "20");
            let first = known.prices.iter().position(|r| matches(&r.models, &name));
            assert_eq!(first, Some(at), "{}", rule.models);
        }
    }
}

#[test]
fn cached_input_is_never_dearer_than_input() {
    let read = Tokens {
        input: 1,
        ..Tokens::default()
    };
    let cached = Tokens { cached: 1, ..read };
    for rule in ALL.iter().flat_map(|known| &known.prices) {
        for tier in [None, Some("batch"), Some("flex"), Some("priority")] {
            let (a, b) = (rule.price.cost(&cached, tier), rule.price.cost(&read, tier));
            assert!(a <= b, "{}", rule.models);
        }
    }
}

/// No variables, no files.
struct Bare;

impl Surroundings for Bare {
    fn var(&self, name: &str) -> Option<String> {
        (name == "OPENAI_API_KEY").then(|| "sk-1".to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What each target of a model costs for a million tokens of the prompt.
fn inputs(config: &Config, model: &str) -> Vec<Option<String>> {
    let million = Tokens {
        input: 1_000_000,
        ..Tokens::default()
    };
    let model = config.model(&ModelName::from(model)).unwrap();
    let prices = model.targets.iter().map(|target| &target.price);
    prices
        .map(|price| Some(price.as_ref()?.cost(&million, None).to_string()))
        .collect()
}

#[test]
fn the_target_s_price_comes_before_the_model_s_and_that_before_the_list_s() {
    let text = "
default_provider: main
providers:
  main: { base_url: 'https://api.openai.com/v1' }
  other: { base_url: 'http://127.0.0.1:8000/v1' }
models:
  house/a:
    price: { input: 7, output: 7 }
    targets:
      - { provider: main, upstream_model: gpt-4o, price: { input: 0, output: 0 } }
      - { provider: main, upstream_model: gpt-4o-mini }
      - { provider: other, upstream_model: gpt-4o }
  house/b:
    targets:
      - { provider: main, upstream_model: gpt-4o }
      - { provider: other, upstream_model: gpt-4o }
  main/gpt-4o: { price: { input: 3, output: 3 } }
";
    let config = load("t.yaml", text.as_bytes(), &Bare).unwrap();
    let some = |text: &str| Some(text.to_owned());
    let expected = [some("0.00"), some("7.00"), some("7.00")];
    assert_eq!(inputs(&config, "house/a"), expected);
    assert_eq!(inputs(&config, "house/b"), [some("2.50"), None]);
    assert_eq!(inputs(&config, "main/gpt-4o"), [some("3.00")]);
    // Names that only clients have.
    assert_eq!(inputs(&config, "main/gpt-4o-mini"), [some("0.15")]);
    assert_eq!(inputs(&config, "gpt-4.1"), [some("2.00")]);
    assert_eq!(inputs(&config, "main/gpt-99"), [None]);
    assert_eq!(inputs(&config, "other/gpt-4o"), [None]);
    // Without a file the list holds as well.
    let config = builtin(&Bare).unwrap();
    assert_eq!(inputs(&config, "openai/gpt-4o"), [some("2.50")]);
}
