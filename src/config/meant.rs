//! What a configuration means: checked, resolved, immutable.
//!
//! The written form never leaves this room; what everyone else sees is here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::client::ClientKey;
use super::lookup::Indices;
use super::passthrough::Passthrough;
use super::tls::{ClientTls, Listen};
use crate::base::{ModelName, Named, ProviderName, Secret};
use crate::dialect::Kind;
use crate::outcome::ReturnAtOnce;
use crate::usage::Price;
use crate::wire::Edits;

/// One whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients come in; never empty.
    pub listen: Vec<Listen>,
    /// Health, metrics, live state, usage, reload.
    pub admin: SocketAddr,
    /// What the admin port asks of requests that change or show more than
    /// health. Without it, a port beyond loopback refuses them.
    pub admin_token: Option<Secret>,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// In the order of the file.
    pub providers: Vec<Arc<Provider>>,
    /// Where a name without a known prefix goes.
    pub default_provider: Option<Arc<Provider>>,
    /// Configured models, by the name that clients use.
    pub models: Named<ModelName, Arc<Model>>,
    /// The configured targets, one for each pair of provider and upstream
    /// model, the first of the file where several models have that pair; in
    /// the order of the file. A target's `index` is its pair's place here.
    pub targets: Vec<Arc<Target>>,
    /// Where each pair stands in `targets`.
    pub(super) indices: Indices,
    /// What `GET /v1/models` lists: configured models and the catalogue's for
    /// the providers that are there; sorted, no name twice.
    pub listed: Vec<ModelName>,
    /// Other endpoints that go to one provider as they are; the longest
    /// patterns first.
    pub passthrough: Vec<Passthrough>,
    /// `failover.return_at_once`
    pub return_at_once: ReturnAtOnce,
    /// Whether any request may name candidates that are to fail on purpose; a
    /// key may say so for its own.
    pub drills: bool,
    /// When a target rests, and for how long.
    pub health: Health,
    /// Who may come in; where it is empty, clients need no key.
    pub keys: Vec<Arc<ClientKey>>,
    /// Where usage is written down; nothing is where this is not there.
    pub ledger: Option<Ledger>,
    /// Where spans are exported to; none are where this is not there.
    pub otlp: Option<Otlp>,
    /// `shutdown.lead`: how long requests are still taken when the process
    /// already says that it is not ready any more.
    pub lead: Duration,
    /// `shutdown.drain`: how long streams in flight may take to finish.
    pub drain: Duration,
    /// `shutdown.upgrade_socket`: where the listening sockets are handed to
    /// another process; none are where this is not there. At most 107 bytes.
    pub upgrade_socket: Option<PathBuf>,
    /// How the log looks and how much it says.
    pub log: Log,
}

/// Bounds on what a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body; at most 1 GiB.
    pub request_body: usize,
    /// Bytes of all request bodies that are held at once.
    pub buffered_bytes: usize,
    /// Names in one request's list, repeats counted once.
    pub max_candidates: usize,
    /// From the first byte of a connection, or of the next request on it, to
    /// the end of that request's head.
    pub header_timeout: Duration,
    /// Bytes of a request's head; at most 1 MiB.
    pub header_bytes: usize,
    /// Clients' connections, all `listen` addresses together.
    pub connections: usize,
    /// Requests that are served at once.
    pub concurrent_requests: usize,
    /// The longest that a client may take nothing of what is written to it.
    pub write_timeout: Duration,
    /// The longest silence within a body; and the body must, after this time,
    /// have come at 64 KiB a second on average.
    pub body_timeout: Duration,
}

/// When a target rests, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Consecutive failures that open a target's breaker; 1 to 100. More than
    /// that would be so many requests that wait for nothing.
    pub failures: u8,
    /// The share of failures among the last 30 seconds' requests that opens it
    /// too, from 20 requests on: a target that fails every other time never
    /// fails often in a row. Above 0, since it would always be open at 0; at
    /// 1 only nothing but failures opens it.
    pub failure_ratio: f64,
    /// The first open period, doubled by each failed probe, and the rest of a
    /// target that gave no time of its own; 1 ms to 24 h.
    pub cooldown: Duration,
    /// The longest open period; not below `cooldown`, at most 24 h. Does not
    /// bind a time that a provider says itself.
    pub max_cooldown: Duration,
}

/// Where usage is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The database; as written, so a relative one begins where the process
    /// was started.
    pub path: PathBuf,
    /// What becomes of requests while nothing can be written.
    pub on_error: OnError,
    /// How long records are kept, at least an hour; `None`: for ever.
    pub retention: Option<Duration>,
}

/// What becomes of requests while the ledger cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// They are refused.
    Refuse,
    /// They are served; their records wait in memory, as many as fit.
    Serve,
}

/// Where and how spans are exported. `Debug` shows nothing of the headers'
/// values.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The collector; `/v1/traces` is added to its path.
    pub endpoint: BaseUrl,
    /// Sent with every export, their values marked as sensitive; names are
    /// lower case, none is there twice.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many of the traces that begin here are exported: 0 to 1. A trace
    /// that a client began is exported where the client says so.
    pub sample_ratio: f64,
    /// The resource's `service.name`.
    pub service_name: String,
    /// More of the resource; no name twice, in the order of the file.
    pub resource: Vec<(String, String)>,
    /// How long one export may take.
    pub timeout: Duration,
}

/// How the log looks and how much it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// JSON lines or plain text.
    pub format: LogFormat,
    /// The most detailed level written.
    pub level: log::LevelFilter,
}

/// JSON lines or plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One sentence a line.
    Text,
}

/// A place that answers: address, wire format, credential.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The configuration's name for it.
    pub name: ProviderName,
    /// Its place in `Config::providers`.
    pub index: usize,
    /// Its wire format.
    pub kind: Kind,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Sent with every request; names are lower case, none is there twice.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How it knows us.
    pub credential: Credential,
    /// Azure's `api-version` query parameter.
    pub api_version: Option<String>,
    /// Whether `stream_options.include_usage` may be sent to it.
    pub stream_usage: bool,
    /// Which HTTP version it is spoken to in.
    pub http: HttpVersion,
    /// How it is met, where it is not as everyone is.
    pub tls: Option<ClientTls>,
    /// For models that have no entry of their own under this provider.
    pub timeouts: Timeouts,
    /// The catalogue's rules for this provider's models, first match wins.
    pub rules: Vec<Rule>,
    /// The built-in list's prices for this provider's models, first match wins.
    pub prices: &'static [PriceRule],
}

impl Provider {
    /// Whether it is the same place after a reload, so that what is known of
    /// the place still holds: name, wire format, address, HTTP version and TLS.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.name == other.name
            && self.kind == other.kind
            && self.base_url == other.base_url
            && self.http == other.http
            && self.tls == other.tls
    }

    /// Whether it knows us by the same credential, so that what is known of
    /// the credential still holds. Headers count, in any order, since one of
    /// them may be what it knows us by. A file counts as the same while its
    /// path is: what it holds is not read here.
    pub fn has_same_credential(&self, other: &Self) -> bool {
        self.credential == other.credential
            && self.headers.len() == other.headers.len()
            && self
                .headers
                .iter()
                .all(|header| other.headers.contains(header))
    }
}

/// A base URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https`
    pub tls: bool,
    /// Name or address, without brackets; lower case; never empty.
    pub host: String,
    /// Given, or 443 and 80.
    pub port: u16,
    /// With a leading slash and without a trailing one; may be empty.
    pub path: String,
}

impl BaseUrl {
    /// The `host` header's value: brackets around an IPv6 address, the port
    /// where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// How a provider knows us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Read again when the file changes.
    File(PathBuf),
    /// Written in the configuration, usually by `${NAME}`.
    Inline(Secret),
    /// The provider asks for none.
    None,
}

/// Which HTTP version a provider is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// What TLS negotiates; HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; without TLS by prior knowledge.
    Http2,
}

/// A rule of the catalogue: what models of a provider want otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A glob over the upstream's model name: `*` stands for anything.
    pub models: String,
    /// What they want otherwise.
    pub edits: Arc<Edits>,
}

/// An entry of the built-in list: what models of a provider cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRule {
    /// A glob over the upstream's model name: `*` stands for anything.
    pub models: String,
    /// What they cost.
    pub price: Arc<Price>,
}

/// A model that the configuration knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// What clients call it.
    pub name: ModelName,
    /// Its homes, in order; never empty.
    pub targets: Vec<Arc<Target>>,
    /// Whether the targets carry weights: the first is then drawn by weight
    /// and the rest follow in order.
    pub weighted: bool,
    /// Used when a chat or completion request brings no `models` of its own.
    pub fallbacks: Vec<ModelName>,
}

/// A provider and its own name for a model.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is sent.
    pub provider: Arc<Provider>,
    /// The provider's own name for the model.
    pub upstream_model: String,
    /// Its pair's place in `Config::targets`; `None` where a client made up
    /// a pair that the file does not have.
    pub index: Option<usize>,
    /// Its part among the model's targets; 1 where none is given.
    pub weight: u32,
    /// What it wants otherwise in a request.
    pub edits: Arc<Edits>,
    /// All of them, resolved: the model's, else the provider's, else
    /// `failover`'s.
    pub timeouts: Timeouts,
    /// What it costs: the target's own price, else the model's, else the
    /// built-in list's. `None` where nobody says, which is not nothing.
    pub price: Option<Arc<Price>>,
}

/// How long each part of an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// Streams: request sent → first meaningful event.
    pub first_token: Duration,
    /// Plain answers: request sent → response head.
    pub answer: Duration,
    /// Between two reads of an answer.
    pub idle: Duration,
    /// All attempts together, until commit; that of the list's first model
    /// holds for the request.
    pub total: Duration,
}
