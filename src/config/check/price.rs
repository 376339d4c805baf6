//! Prices: USD for a million tokens, read from the text and never through a
//! binary fraction.

use std::sync::Arc;

use crate::config::problem::Found;
use crate::config::shape::Fields;
use crate::usage::{Price, PriceSet, Rates, Usd, per_million};

/// Reads the section `price`, where it is written. `None` also where it cannot
/// be read, which is told.
pub(in crate::config) fn price(fields: &Fields<'_>, found: &mut Found) -> Option<Arc<Price>> {
    fields.node("price")?;
    let fields = fields.section("price", found);
    let standard = set(&fields, found);
    let by_tier = fields.section("tiers", found);
    let tiers: Vec<(&str, Option<PriceSet>)> = Price::TIERS
        .into_iter()
        .filter(|tier| by_tier.node(tier).is_some())
        .map(|tier| (tier, set(&by_tier.section(tier, found), found)))
        .collect();
    let tiers: Option<Vec<_>> = tiers
        .into_iter()
        .map(|(tier, set)| Some((tier, set?)))
        .collect();
    Some(Arc::new(Price::new(standard?, tiers?)))
}

fn set(fields: &Fields<'_>, found: &mut Found) -> Option<PriceSet> {
    let usual = rates(fields, found);
    let long_context = match fields.node("long_context") {
        None => None,
        Some(_) => {
            let long = fields.section("long_context", found);
            let above = long.whole("above", found);
            let rates = rates(&long, found);
            Some((u64::from(above?), rates?))
        }
    };
    Some(PriceSet {
        rates: usual?,
        long_context,
    })
}

/// All six, so that everything wrong with them is told.
fn rates(fields: &Fields<'_>, found: &mut Found) -> Option<Rates> {
    let mut rate = |name: &str| rate(fields, name, found);
    let (input, output) = (rate("input"), rate("output"));
    let (cached_input, cache_write) = (rate("cached_input"), rate("cache_write"));
    let (input_audio, output_audio) = (rate("input_audio"), rate("output_audio"));
    Some(Rates {
        input: input?,
        cached_input,
        cache_write,
        input_audio,
        output: output?,
        output_audio,
    })
}

fn rate(fields: &Fields<'_>, name: &str, found: &mut Found) -> Option<Usd> {
    let (scalar, place) = fields.scalar(name, found)?;
    let why = match per_million(&scalar.text) {
        Ok(usd) if scalar.plain => return Some(usd),
        Ok(_) => format!("`{name}` is a number, without quotes"),
        Err(error) => format!("`{name}` {error}"),
    };
    found.add(place, why);
    None
}
