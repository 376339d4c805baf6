//! Every family that is counted: name, labels, help and buckets, in the words
//! of the contract and, where they have one, of OpenTelemetry's GenAI
//! conventions (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics).

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::refusal::Scarce;

/// What the conventions call operation, provider and model.
const GEN_AI: [&str; 3] = [
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_response_model",
];

/// A cache or an embedding answers within milliseconds, a long answer of a
/// reasoning model takes minutes, and nothing takes longer than the usual
/// `timeouts.total`.
const DURATION: [f64; 16] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 600.0,
];

/// From a server next door to a model that thinks first. People notice the
/// steps between 100 ms and 3 s, so most bounds lie there; past 60 s the
/// request has usually gone to the next candidate.
const FIRST: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
];

/// A thousand tokens a second are the fastest there are, ten a second are as
/// fast as one reads, and beyond a second each the stream is nearly stuck.
const PER_TOKEN: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// A small request costs some tens of microseconds; 1 ms is more than it
/// should, and 100 ms is a fault.
const OVERHEAD: [f64; 13] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_35, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.1,
];

/// Powers of four up to 4¹⁰, the size of the largest contexts: what prompts
/// cost differs by orders of magnitude.
const TOKENS: [f64; 11] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
];

/// Every family that is counted.
#[derive(Debug)]
pub struct Metrics {
    pub(super) registry: Registry,
    pub(super) duration: HistogramVec,
    pub(super) first: HistogramVec,
    pub(super) per_token: HistogramVec,
    pub(super) usage: HistogramVec,
    pub(super) requests: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) drills: IntCounterVec,
    pub(super) failovers: IntCounterVec,
    pub(super) skips: IntCounterVec,
    /// By [`Scarce`].
    pub(super) overloaded: [IntCounter; 3],
    pub(super) handshakes_failed: IntCounter,
    pub(super) overhead: Histogram,
    pub(super) tokens: IntCounterVec,
    pub(super) cost: CounterVec,
    pub(super) accepted: IntCounter,
    pub(super) rejected: IntCounter,
    /// Of the last reload.
    pub(super) is_accepted: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at nothing.
    pub fn new() -> Self {
        let registry = Registry::new();
        let reloads = counters(
            &registry,
            "standin_config_reloads_total",
            "Reloads of the configuration: accepted, or rejected while the old one stays.",
            &["result"],
        );
        let help = "1 where the last reload was accepted, or none was asked for; 0 while the file is not what serves.";
        let is_accepted = IntGauge::new("standin_config_last_reload_accepted", help);
        let is_accepted = registered(&registry, is_accepted);
        is_accepted.set(1);
        let help = "Always 1; its label is the version that runs.";
        let build = IntGaugeVec::new(Opts::new("standin_build_info", help), &["version"]);
        let build = registered(&registry, build);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let overloaded = counters(
            &registry,
            "standin_overloaded_total",
            "Connections and requests that were refused with 503 because a limit of the whole process was reached, by that limit.",
            &["limit"],
        );
        let help = "TLS handshakes with clients that failed: out of time, no TLS, no protocol that both speak, or a certificate that one of both did not believe.";
        let handshakes_failed = IntCounter::new("standin_tls_handshakes_failed_total", help);
        Self {
            handshakes_failed: registered(&registry, handshakes_failed),
            overloaded: Scarce::ALL.map(|what| overloaded.with_label_values(&[what.label()])),
            duration: histograms(
                &registry,
                "gen_ai_server_request_duration_seconds",
                "Seconds from a request's body to the end of its answer, of answers that began.",
                &GEN_AI,
                &DURATION,
            ),
            first: histograms(
                &registry,
                "gen_ai_server_time_to_first_token_seconds",
                "Seconds from a request's body to the first word of a streamed answer, failed candidates included.",
                &GEN_AI,
                &FIRST,
            ),
            per_token: histograms(
                &registry,
                "gen_ai_server_time_per_output_token_seconds",
                "Mean seconds for each output token after the first, of whole streams whose provider told their usage.",
                &GEN_AI,
                &PER_TOKEN,
            ),
            usage: histograms(
                &registry,
                "gen_ai_client_token_usage",
                "Tokens of one answer by gen_ai_token_type, input or output; estimated where the provider did not tell.",
                &[GEN_AI[0], GEN_AI[1], GEN_AI[2], "gen_ai_token_type"],
                &TOKENS,
            ),
            requests: counters(
                &registry,
                "standin_requests_total",
                "Requests that have ended: answered, failed (every candidate did), drilled (every candidate did, one of them because a drill asked for it), cut (the answer broke off, or the drain ended first), client_gone, refused (no candidate was tried). Heads that cannot be read are not among them.",
                &["endpoint", "outcome"],
            ),
            attempts: counters(
                &registry,
                "standin_attempts_total",
                "Candidates' turns at a provider by outcome; answered where an answer began, cut where it broke off. Drills are not among them.",
                &["model", "provider", "outcome"],
            ),
            drills: counters(
                &registry,
                "standin_drills_total",
                "Candidates' turns that failed because the request asked for it, by outcome; nothing was sent to the provider.",
                &["model", "provider", "outcome"],
            ),
            failovers: counters(
                &registry,
                "standin_failovers_total",
                "Answers that began and were not the first candidate's: from the first, to the one that answered, because of what the first was skipped for or failed with; drill where it failed because the request asked for that.",
                &["from", "to", "reason"],
            ),
            skips: counters(
                &registry,
                "standin_skips_total",
                "Candidates passed over without an attempt by reason.",
                &["model", "provider", "reason"],
            ),
            overhead: overhead(&registry),
            tokens: counters(
                &registry,
                "standin_tokens_total",
                "Tokens as the ledger counts them; cached are among input, reasoning among output.",
                &["model", "provider", "kind"],
            ),
            cost: cost(&registry),
            accepted: reloads.with_label_values(&["accepted"]),
            rejected: reloads.with_label_values(&["rejected"]),
            is_accepted,
            registry,
        }
    }
}

fn overhead(registry: &Registry) -> Histogram {
    let help = "Seconds of a request's time in which Standin worked on it: reading the body's JSON, choosing, \
                writing, reading and passing on, the ledger's row. Waiting for the provider, for the client or \
                for a free thread does not count, nor does receiving the body. Refused requests are not among them.";
    let options = HistogramOpts::new("standin_overhead_seconds", help).buckets(OVERHEAD.to_vec());
    registered(registry, Histogram::with_opts(options))
}

fn cost(registry: &Registry) -> CounterVec {
    let help = "US dollars that answers cost, by the key's name (none where clients need no key); models without a price add nothing.";
    let options = Opts::new("standin_cost_usd_total", help);
    registered(
        registry,
        CounterVec::new(options, &["model", "provider", "key"]),
    )
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(options, labels))
}

/// Names, labels and buckets are ours and a test makes them all, so nothing
/// here can fail.
pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let family = made.expect("a family's name, labels and buckets are good");
    let registered = registry.register(Box::new(family.clone()));
    registered.expect("each family is registered once");
    family
}
