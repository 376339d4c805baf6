//! The keys of `otlp`.

use super::{Form, Section, TIME, key, with};

/// What the section is for.
pub(super) const DOC: &str = "Where spans are exported to, by OTLP over HTTP with JSON: one for each request, and below it one for each attempt. Without this section there are none. With it, attempts carry a `traceparent` of their own, also where the client sent none.";

pub(super) static OTLP: Section = Section {
    name: "`otlp`",
    required: &["endpoint"],
    keys: &[
        key(
            "endpoint",
            Form::Url,
            "The collector, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: `http://collector:4318`. `/v1/traces` is added to it.",
        ),
        key(
            "headers",
            Form::Pairs,
            "Sent with every export, as in `OTEL_EXPORTER_OTLP_HEADERS`; the place for a credential. Their values are never shown.",
        ),
        with(
            "sample_ratio",
            Form::Ratio,
            "1.0",
            "How many of the traces that begin here are exported, from 0 to 1. Where a client says in `traceparent` that its trace is sampled, or that it is not, that holds.",
        ),
        with(
            "service_name",
            Form::Text,
            "standin",
            "The resource's `service.name`, as in `OTEL_SERVICE_NAME`.",
        ),
        key(
            "resource",
            Form::Pairs,
            "More of the resource's attributes, as in `OTEL_RESOURCE_ATTRIBUTES`: `{ deployment.environment.name: production }`.",
        ),
        with(
            "timeout",
            TIME,
            "10s",
            "How long one export may take before it counts as failed.",
        ),
    ],
};
