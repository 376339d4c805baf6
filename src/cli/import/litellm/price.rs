//! Costs of a token → prices of a million.

use crate::cli::import::report::Report;
use crate::cli::import::section::Section;

/// Standin's names, and LiteLLM's.
const RATES: [(&str, &str); 6] = [
    ("input", "input_cost_per_token"),
    ("cached_input", "cache_read_input_token_cost"),
    ("cache_write", "cache_creation_input_token_cost"),
    ("input_audio", "input_cost_per_audio_token"),
    ("output", "output_cost_per_token"),
    ("output_audio", "output_cost_per_audio_token"),
];

/// The names of tiers, and how LiteLLM's keys end.
const TIERS: [(&str, &str); 3] = [
    ("batch", "_batches"),
    ("flex", "_flex"),
    ("priority", "_priority"),
];

/// Tokens of the prompt above which all costs more, and how LiteLLM's keys end.
const LONG: [(u32, &str); 4] = [
    (128_000, "_above_128k_tokens"),
    (200_000, "_above_200k_tokens"),
    (256_000, "_above_256k_tokens"),
    (272_000, "_above_272k_tokens"),
];

/// The mapping under `price`, from what stands in `litellm_params`, else in
/// `model_info`. Nothing where neither has prices, or one that is needed is
/// missing, which is told.
pub(super) fn price(
    params: &mut Section,
    info: &mut Section,
    embeds: bool,
    report: &mut Report,
) -> Option<String> {
    let mut usual = rates("", params, info, report);
    let has = |rates: &[(&str, String)], name: &str| rates.iter().any(|(other, _)| *other == name);
    if embeds && has(&usual, "input") && !has(&usual, "output") {
        usual.push(("output", "0".to_owned()));
    }
    let whole = has(&usual, "input") && has(&usual, "output");
    let mut long = None;
    for (above, end) in LONG {
        let more = rates(end, params, info, report);
        if more.is_empty() {
            continue;
        }
        if long.is_none() && has(&more, "input") && has(&more, "output") {
            long = Some((above, more));
        } else {
            let why = "a price for long prompts has both `input` and `output`, and there is one such bound";
            report.dropped(&params.path.at(&format!("input_cost_per_token{end}")), why);
        }
    }
    let mut tiers = Vec::new();
    for (tier, end) in TIERS {
        let more = rates(end, params, info, report);
        if has(&more, "input") && has(&more, "output") {
            tiers.push(format!("{tier}: {}", braces(&more)));
        } else if !more.is_empty() {
            let why = "a tier's price has both `input` and `output`";
            report.dropped(&params.path.at(&format!("input_cost_per_token{end}")), why);
        }
    }
    if !whole {
        if !usual.is_empty() || long.is_some() || !tiers.is_empty() {
            let why = "a price has both `input` and `output`: add `price` by hand";
            report.dropped(&params.path.at("input_cost_per_token"), why);
        }
        return None;
    }
    if let Some((above, more)) = long {
        let more = braces(&more);
        let more = more.replacen('{', &format!("{{ above: {above},"), 1);
        usual.push(("long_context", more));
    }
    if !tiers.is_empty() {
        usual.push(("tiers", format!("{{ {} }}", tiers.join(", "))));
    }
    Some(braces(&usual))
}

fn braces(rates: &[(&str, String)]) -> String {
    let rates = rates.iter();
    let rates: Vec<String> = rates
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("{{ {} }}", rates.join(", "))
}

fn rates(
    end: &str,
    params: &mut Section,
    info: &mut Section,
    report: &mut Report,
) -> Vec<(&'static str, String)> {
    let mut rates = Vec::new();
    for (name, key) in RATES {
        let key = format!("{key}{end}");
        let ours = params.number(&key, report);
        let theirs = info.number(&key, report);
        let Some(cost) = ours.or(theirs) else {
            continue;
        };
        // Six digits after the point are counted; adding makes -0 to 0.
        let million = format!("{:.6}", cost * 1e6 + 0.0);
        let million = million.trim_end_matches('0').trim_end_matches('.');
        if (0.0..=1e6).contains(&(cost * 1e6)) {
            let million = if million.is_empty() { "0" } else { million };
            rates.push((name, million.to_owned()));
        } else {
            let why = "is no price: 0 to 1 USD for a token";
            report.dropped(&params.path.at(&key), why);
        }
    }
    rates
}
