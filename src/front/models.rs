//! `GET /v1/models` and `/v1/models/{id}`.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::access::Holder;
use crate::base::ModelName;
use crate::config::Config;

/// The list of the models that whoever asks may use, in OpenAI's shape.
pub(super) fn list(config: &Config, asks: Option<&Arc<Holder>>) -> Value {
    let data: Vec<Value> = config
        .listed
        .iter()
        .filter(|name| may(asks, name))
        .map(|name| model(config, name))
        .collect();
    json!({"object": "list", "data": data})
}

/// One listed model; nothing where the path's segment names none that whoever
/// asks may use. Its slash may be escaped or not.
pub(super) fn one(config: &Config, segment: &str, asks: Option<&Arc<Holder>>) -> Option<Value> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let name = config
        .listed
        .iter()
        .find(|listed| listed.as_str() == name && may(asks, listed))?;
    Some(model(config, name))
}

/// A key sees what it may use.
fn may(asks: Option<&Arc<Holder>>, model: &ModelName) -> bool {
    asks.is_none_or(|holder| holder.may(model))
}

fn model(config: &Config, name: &ModelName) -> Value {
    let known = config.model(name);
    let owner = known
        .as_ref()
        .and_then(|model| model.targets.first())
        .map_or("", |target| target.provider.name.as_str());
    json!({"id": name.as_str(), "object": "model", "created": 0, "owned_by": owner})
}
