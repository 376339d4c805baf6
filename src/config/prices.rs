//! What well-known providers charge: `conf/prices.yaml`, built in.

use std::sync::{Arc, LazyLock};

use super::check::price;
use super::keys::PRICES;
use super::lookup::matches;
use super::meant::PriceRule;
use super::problem::Found;
use super::shape::Fields;
use super::source;

#[cfg(test)]
mod tests;

const TEXT: &str = include_str!("../../conf/prices.yaml");

/// One provider's prices.
#[derive(Debug)]
struct Known {
    /// Globs over the hosts at which they hold.
    hosts: Vec<String>,
    prices: Vec<PriceRule>,
}

/// The list is a part of the program: a test holds that nothing is wrong with
/// it.
static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| read(TEXT, &mut Found::default()));

/// The prices that hold at a host; none where nothing is known of it.
pub(super) fn at(host: &str) -> &'static [PriceRule] {
    let here = |known: &&Known| known.hosts.iter().any(|glob| matches(glob, host));
    ALL.iter().find(here).map_or(&[], |known| &known.prices)
}

fn read(text: &str, found: &mut Found) -> Vec<Known> {
    // `${…}` has no meaning in the list.
    let Some(root) = source::read(text.as_bytes(), &|_| None, found) else {
        return Vec::new();
    };
    let fields = Fields::of(&root, &PRICES, found);
    let sections = fields.sections("providers", found);
    sections
        .iter()
        .map(|(_, fields)| known(fields, found))
        .collect()
}

fn known(fields: &Fields<'_>, found: &mut Found) -> Known {
    let mut prices = Vec::new();
    for entry in fields.list("prices", found) {
        let price = price(&entry, found);
        let source = entry.text("source", found);
        if let Some((date, place)) = entry.text("date", found)
            && !is_date(&date.text)
        {
            found.add(place, "`date` is a day: `2026-11-22`");
        }
        let (Some(price), Some(_)) = (price, source) else {
            continue;
        };
        for (glob, _) in entry.texts("models", found) {
            prices.push(PriceRule {
                models: glob.text.to_string(),
                price: Arc::clone(&price),
            });
        }
    }
    let hosts = fields.texts("hosts", found);
    Known {
        hosts: hosts
            .iter()
            .map(|(glob, _)| glob.text.to_string())
            .collect(),
        prices,
    }
}

/// `2026-11-22`
fn is_date(text: &str) -> bool {
    let mut shape = text
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'0' } else { b });
    shape.by_ref().eq("0000-00-00".bytes())
}
