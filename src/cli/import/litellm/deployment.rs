//! One entry of `model_list`.

use serde_json::{Map, Value};

use super::price::price;
use super::provider::way;
use super::{Import, keys};
use crate::cli::import::draft::{Place, Timeouts, Written};
use crate::cli::import::report::{Path, shown};
use crate::cli::import::section::Section;

/// A deployment, as far as there is a way to it.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) path: Path,
    /// `model_name`: what clients ask for.
    pub(super) group: String,
    /// `model_info.id`, by which fallbacks may name it alone.
    pub(super) id: Option<String>,
    /// What its provider is to be called.
    pub(super) provider: &'static str,
    pub(super) place: Place,
    pub(super) upstream_model: Written,
    pub(super) order: Option<f64>,
    /// `weight`, `rpm` and `tpm`: LiteLLM draws by the first that any has.
    pub(super) weights: [Option<f64>; 3],
    pub(super) price: Option<String>,
    pub(super) timeouts: Timeouts,
    /// `additional_drop_params`
    pub(super) drop: Vec<String>,
    /// `extra_body`
    pub(super) set: Map<String, Value>,
    pub(super) embeds: bool,
}

/// The longest time that is taken for one, in seconds.
const YEAR: f64 = 365.0 * 86400.0;

pub(super) fn deployment(at: usize, entry: Value, import: &mut Import) -> Option<Deployment> {
    let path = Path::entry("model_list", at);
    if !entry.is_object() {
        import.report.dropped(&path, "is no mapping");
        return None;
    }
    let mut entry = Section::of(Some(entry), path.clone(), &mut import.report);
    let group = entry.literal("model_name", &mut import.report);
    let Some(group) = group else {
        import
            .report
            .dropped(&path, "the whole entry: it has no `model_name`");
        return None;
    };
    if group.len() > 256 || group.contains(char::is_control) {
        let why = "the whole entry: its `model_name` is longer than 256 bytes, or has a control character";
        import.report.dropped(&path, why);
        return None;
    }
    let params = entry.take("litellm_params");
    let mut params = Section::of(params, path.at("litellm_params"), &mut import.report);
    let info = entry.take("model_info");
    let mut info = Section::of(info, path.at("model_info"), &mut import.report);
    if let Some(name) = params.literal("litellm_credential_name", &mut import.report) {
        match import.credentials.get(&name) {
            Some(values) => params.add(values.clone()),
            None => {
                let why = "names none of `credential_list`";
                let path = params.path.at("litellm_credential_name");
                import.report.dropped(&path, why);
            }
        }
    }
    let mode = info.literal("mode", &mut import.report);
    let served = ["chat", "completion", "embedding", "responses"];
    if let Some(mode) = mode.as_deref().filter(|mode| !served.contains(mode)) {
        let why = format!(
            "the whole entry: Standin has no endpoint for `mode: {}`",
            shown(mode)
        );
        import.report.dropped(&path, why);
        return None;
    }
    let way = match way(&mut params, import) {
        Ok(way) => way,
        Err(why) => {
            import
                .report
                .dropped(&path, format!("the whole entry: {why}"));
            return None;
        }
    };
    let embeds = mode.as_deref() == Some("embedding");
    let report = &mut import.report;
    let price = price(&mut params, &mut info, embeds, report);
    let mut limit = |key: &str| {
        let seconds = params.number(key, report)?;
        if (1e-3..=YEAR).contains(&seconds) {
            return Some(seconds);
        }
        report.dropped(&params.path.at(key), "is no time above 0, and up to a year");
        None
    };
    let answer = limit("timeout");
    let first_token = limit("stream_timeout");
    let weights = ["weight", "rpm", "tpm"].map(|key| {
        let own = params.number(key, report);
        // An older form has them beside `litellm_params`.
        let beside = entry.number(key, report);
        let weight = own.or(beside)?;
        if weight < 0.0 {
            report.dropped(&params.path.at(key), "is below 0");
            return None;
        }
        Some(weight)
    });
    let deployment = Deployment {
        order: params.number("order", report),
        id: info.literal("id", report),
        drop: params.texts("additional_drop_params", report),
        set: {
            let path = params.path.at("extra_body");
            Section::of(params.take("extra_body"), path, report).into_entries()
        },
        path,
        group,
        provider: way.name,
        place: way.place,
        upstream_model: way.upstream_model,
        weights,
        price,
        timeouts: Timeouts {
            first_token: first_token.or(answer),
            answer,
            total: None,
        },
        embeds,
    };
    params.rest(&[keys::PARAMS, keys::DEFAULTS], report);
    info.rest(&[keys::INFO], report);
    entry.rest(&[keys::ENTRY], report);
    Some(deployment)
}
