//! Otlp: where spans are exported to.

use crate::config::meant::Otlp;
use crate::config::problem::{Found, shown_key};
use crate::config::shape::{self, Fields};
use crate::config::url::base_url;

use super::provider::{free_header, headers};

/// What is added to the endpoint's path.
const PATH: &str = "/v1/traces";

/// Bytes of a resource's attribute, its name and its value.
const LONGEST: usize = 256;

/// Reads the section; `None` where it is not written, or lacks an endpoint.
pub(super) fn otlp(root: &Fields<'_>, found: &mut Found) -> Option<Otlp> {
    root.node("otlp")?;
    let fields = root.section("otlp", found);
    let endpoint = fields.text("endpoint", found).and_then(|(scalar, place)| {
        let text = scalar.text.trim();
        let authority = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let read = if authority.contains('@') {
            Err("has no user or password: put the credential into `headers`")
        } else if text.trim_end_matches('/').ends_with(PATH) {
            Err("ends before `/v1/traces`, which is added to it: leave that out")
        } else {
            base_url(text)
        };
        read.map_err(|why| found.add(place, format!("`endpoint` {why}")))
            .ok()
    });
    let headers = headers(&fields, &free_header, found);
    let sample_ratio = ratio(&fields, "sample_ratio", found);
    let service_name = match fields.text("service_name", found) {
        Some((name, _)) => &*name.text,
        None => fields.default("service_name").unwrap_or_default(),
    };
    let service_name = service_name.to_owned();
    let resource = resource(&fields, found);
    let timeout = fields.duration("timeout", found);
    Some(Otlp {
        endpoint: endpoint?,
        headers,
        sample_ratio: sample_ratio?,
        service_name,
        resource,
        timeout: timeout?,
    })
}

fn resource(fields: &Fields<'_>, found: &mut Found) -> Vec<(String, String)> {
    let mut resource = Vec::new();
    for (key, node) in fields.pairs("resource", found) {
        let shown = shown_key(&key.text);
        let name = key.text.trim();
        if matches!(name, "service.name" | "service.version") {
            let why = if name == "service.name" {
                "`service.name` is set by `service_name`: leave it out here"
            } else {
                "`service.version` is set by Standin itself: leave it out"
            };
            found.add(key.place, why);
            continue;
        }
        if name.is_empty() || name.len() > LONGEST {
            let why = format!("`{shown}` cannot name an attribute: it takes up to {LONGEST} bytes");
            found.add(key.place, why);
            continue;
        }
        if let Some(value) = shape::text(node, &format!("the attribute `{shown}`"), found) {
            if value.text.len() > LONGEST {
                let why = format!("the attribute `{shown}` takes up to {LONGEST} bytes");
                found.add(node.place, why);
            }
            resource.push((name.to_owned(), (*value.text).to_owned()));
        }
    }
    resource
}

/// A number from 0 to 1; `None` where it is wrong, which is told.
fn ratio(fields: &Fields<'_>, name: &str, found: &mut Found) -> Option<f64> {
    let Some(node) = fields.node(name) else {
        return fields.default(name)?.parse().ok();
    };
    let (scalar, _) = fields.scalar(name, found)?;
    let ratio = scalar.text.parse().ok().filter(|_| scalar.plain);
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    if ratio.is_none() {
        let why = format!("`{name}` is a number from 0 to 1, such as `0.1`, without quotes");
        found.add(node.place, why);
    }
    ratio
}
