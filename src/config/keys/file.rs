//! The keys of a configuration file.

use super::client::CLIENT;
use super::ledger::{self, LEDGER};
use super::otlp::{self, OTLP};
use super::price::PRICE;
use super::tls::{self, LISTENER};
use super::{Form, Section, TIME, key, with};

/// The whole file.
pub(in crate::config) static ROOT: Section = Section {
    name: "the configuration",
    required: &["providers"],
    keys: &[
        with(
            "listen",
            Form::Addresses(&LISTENER),
            "127.0.0.1:8080",
            "Where clients come in: an IP address and a port, or a list of them. Port 0 lets the system choose. An entry that speaks TLS is a mapping: `{ address: 0.0.0.0:8443, tls: { cert_file: PATH, key_file: PATH } }`.",
        ),
        with(
            "admin",
            Form::Address,
            "127.0.0.1:9090",
            "Where health, live state (`/status`) and reload are served.",
        ),
        key(
            "admin_token",
            Form::Secret,
            "What the admin address asks of requests that show or change more than health. Without it, an admin address beyond loopback refuses them.",
        ),
        with(
            "allow_anonymous",
            Form::Bool,
            "false",
            "Clients need no key. Has to be `true` for a `listen` address beyond loopback where there are no `keys`, since everyone who reaches it may then spend the providers' credit.",
        ),
        with(
            "threads",
            Form::Whole(0, 1024),
            "0",
            "Worker threads; 0 means one per core.",
        ),
        key(
            "limits",
            Form::Section(&LIMITS),
            "Bounds on what a client may send.",
        ),
        key(
            "providers",
            Form::Sections(&PROVIDER),
            "The places that answer, by the name that models are prefixed with. A provider at a well-known address takes the built-in catalogue's rules and model list for it.",
        ),
        key(
            "default_provider",
            Form::Text,
            "Where a name without a known `provider/` prefix goes. The prefix ends at the first slash.",
        ),
        key(
            "models",
            Form::Sections(&MODEL),
            "Models with settings of their own, by the name that clients use. `provider/anything` works without an entry.",
        ),
        key(
            "passthrough",
            Form::Pairs,
            "Other endpoints that go to one provider as they are, streamed both ways: from a path, or with `/*` at its end all below it, to a provider's name. The longest pattern wins; `/v1` stands for the provider's base URL. No list, no failover, no price: a key with a budget may not use them, and one with `models` only where those admit `PROVIDER/*`.",
        ),
        key(
            "failover",
            Form::Section(&FAILOVER),
            "When the next candidate is tried.",
        ),
        with(
            "drills",
            Form::Bool,
            "false",
            "Whether any client may rehearse a failover: the candidates that a request's header `x-standin-fail` names (`openai/gpt-4o=429, openai/o1=timeout`) fail for that request, without being asked and without an effect on others. A key's own `drills` allows it to that key.",
        ),
        key(
            "health",
            Form::Section(&HEALTH),
            "When a target rests, and for how long.",
        ),
        key("ledger", Form::Section(&LEDGER), ledger::DOC),
        key("otlp", Form::Section(&OTLP), otlp::DOC),
        key(
            "keys",
            Form::List(&CLIENT),
            "Who may come in, by the keys that clients send as `Authorization: Bearer KEY`. Without it clients need no key.",
        ),
        key(
            "shutdown",
            Form::Section(&SHUTDOWN),
            "How the process ends.",
        ),
        key(
            "log",
            Form::Section(&LOG),
            "How the log looks and how much it says.",
        ),
    ],
};

static LIMITS: Section = Section {
    name: "`limits`",
    required: &[],
    keys: &[
        with(
            "request_body",
            Form::Size(1 << 10, 1 << 30),
            "32MiB",
            "Bytes of a request body, from 1KiB to 1GiB. Larger ones are refused with 413.",
        ),
        with(
            "max_candidates",
            Form::Whole(1, 256),
            "16",
            "Names in one request's list. Longer ones are refused with 400.",
        ),
        with(
            "header_timeout",
            TIME,
            "10s",
            "From the first byte of a request to the end of its head.",
        ),
        with(
            "body_timeout",
            TIME,
            "30s",
            "The longest silence within a request body; after this time it must also have come at 64 KiB a second on average.",
        ),
        with(
            "write_timeout",
            TIME,
            "60s",
            "The longest that a client may take nothing of what is written to it; then it counts as gone.",
        ),
        with(
            "header_bytes",
            Form::Size(4 << 10, 1 << 20),
            "64KiB",
            "Bytes of a request's head, from 4KiB to 1MiB. Longer ones are refused with 431, and so are heads with more than 256 headers.",
        ),
        with(
            "connections",
            Form::Whole(1, 1_000_000),
            "16384",
            "Clients' connections, all `listen` addresses together; and no more than the process's descriptors suffice for. One more is answered with 503 and closed.",
        ),
        with(
            "concurrent_requests",
            Form::Whole(1, 1_000_000),
            "16384",
            "Requests that are served at once, by this process. One more is refused with 503.",
        ),
        with(
            "buffered_bytes",
            Form::Size(1 << 10, 1 << 40),
            "1GiB",
            "Bytes of all request bodies that are held at once; not below `request_body`. What would be more is refused with 503.",
        ),
    ],
};

static PROVIDER: Section = Section {
    name: "a provider",
    required: &["base_url"],
    keys: &[
        with(
            "kind",
            Form::Choice(&["openai", "azure"]),
            "openai",
            "The wire format.",
        ),
        key(
            "base_url",
            Form::Url,
            "Where it is, without the endpoint's own path: `https://api.openai.com/v1`.",
        ),
        key(
            "api_key",
            Form::Secret,
            "Its credential, usually `${NAME}`.",
        ),
        key(
            "api_key_file",
            Form::Path,
            "A file with its credential, read again when it changes. A relative path starts at the process's working directory.",
        ),
        key(
            "api_version",
            Form::Text,
            "Azure's `api-version`, for example `2024-10-21`; `kind: azure` needs it, others have none.",
        ),
        key("headers", Form::Pairs, "Sent with every request."),
        with(
            "stream_usage",
            Form::Bool,
            "true",
            "Whether a stream is asked for its usage (`stream_options.include_usage`). For a provider at a well-known address the default is what the catalogue says of it.",
        ),
        with(
            "http",
            Form::Choice(&["auto", "1", "2"]),
            "auto",
            "The HTTP version it is spoken to in. `auto`: what TLS negotiates, HTTP/1.1 without TLS.",
        ),
        key("tls", Form::Section(&tls::CLIENT), tls::CLIENT_DOC),
        key(
            "timeouts",
            Form::Section(&TIMEOUTS),
            "Instead of those in `failover`, for this provider.",
        ),
    ],
};

static TIMEOUTS: Section = Section {
    name: "`timeouts`",
    required: &[],
    keys: &[
        key("connect", TIME, "TCP and TLS together."),
        key(
            "first_token",
            TIME,
            "Streams: request sent → first meaningful event.",
        ),
        key(
            "answer",
            TIME,
            "Plain answers: request sent → response head.",
        ),
        key("idle", TIME, "Between two reads of an answer."),
        key(
            "total",
            TIME,
            "All attempts together, until the answer begins; that of the list's first model holds.",
        ),
    ],
};

static MODEL: Section = Section {
    name: "a model",
    required: &[],
    keys: &[
        key(
            "provider",
            Form::Text,
            "The provider that has it. Default: the one that the name's prefix says, else `default_provider`.",
        ),
        key(
            "upstream_model",
            Form::Text,
            "The provider's own name for it. Default: the name after the provider's prefix.",
        ),
        key(
            "targets",
            Form::List(&TARGET),
            "Several homes of one model, instead of `provider`: tried in this order, or the first drawn by weight where weights differ.",
        ),
        key(
            "fallbacks",
            Form::Texts,
            "Models that are tried after this one when a chat or completion request brings no `models` of its own.",
        ),
        key(
            "request",
            Form::Section(&REQUEST),
            "Top-level members that this model wants otherwise. Replaces the catalogue's rules for it, also when it is empty (`{}`).",
        ),
        key(
            "timeouts",
            Form::Section(&TIMEOUTS),
            "Instead of the provider's and those in `failover`, for this model.",
        ),
        key(
            "price",
            Form::Section(&PRICE),
            "What it costs. Replaces the built-in list's price for it; without either its answers have no cost, and a key with a budget may not use it.",
        ),
    ],
};

static TARGET: Section = Section {
    name: "a target",
    required: &["provider"],
    keys: &[
        key("provider", Form::Text, "The provider that has the model."),
        key(
            "upstream_model",
            Form::Text,
            "The provider's own name for it. Default: the model's name after a provider's prefix.",
        ),
        key(
            "weight",
            Form::Whole(1, 1_000_000),
            "How often it is tried first, compared with the model's other targets. All of them have one, or none.",
        ),
        key(
            "price",
            Form::Section(&PRICE),
            "What it costs here, instead of the model's `price`.",
        ),
    ],
};

static REQUEST: Section = Section {
    name: "`request`",
    required: &[],
    keys: &[
        key("drop", Form::Texts, "Members that are left out."),
        key(
            "rename",
            Form::Pairs,
            "Members that get another name; where the new name is there already, that one stays.",
        ),
        key(
            "set",
            Form::Anything,
            "Members that get this value, whatever the client sent.",
        ),
    ],
};

static FAILOVER: Section = Section {
    name: "`failover`",
    required: &[],
    keys: &[
        with("connect_timeout", TIME, "2s", "TCP and TLS together."),
        with(
            "first_token_timeout",
            TIME,
            "30s",
            "Streams: request sent → first meaningful event.",
        ),
        with(
            "answer_timeout",
            TIME,
            "5m",
            "Plain answers: request sent → response head.",
        ),
        with(
            "idle_timeout",
            TIME,
            "60s",
            "Between two reads of an answer.",
        ),
        with(
            "total_timeout",
            TIME,
            "10m",
            "All attempts together, until the answer begins.",
        ),
        with(
            "return_at_once",
            Form::Failures,
            "[]",
            "Outcomes or HTTP statuses (400 to 599) that the client gets instead of the next candidate's answer.",
        ),
    ],
};

static HEALTH: Section = Section {
    name: "`health`",
    required: &[],
    keys: &[
        with(
            "failures",
            Form::Whole(1, 100),
            "5",
            "Consecutive failures that open a target's breaker.",
        ),
        with(
            "failure_ratio",
            Form::Share,
            "0.5",
            "The share of failures among the last 30 s' requests that opens it too, from 20 requests on; above 0 and up to 1.",
        ),
        with(
            "cooldown",
            TIME,
            "5s",
            "The first open period, from 1ms to 24h; doubles on each failed probe.",
        ),
        with(
            "max_cooldown",
            TIME,
            "60s",
            "The longest open period, from `cooldown` to 24h. A provider's own reset time is believed up to 24h.",
        ),
    ],
};

static SHUTDOWN: Section = Section {
    name: "`shutdown`",
    required: &[],
    keys: &[
        with(
            "lead",
            Form::Duration { zero: true },
            "0s",
            "How long requests are still taken after SIGTERM while `/readyz` already says no, so that load balancers can turn away before anybody is refused.",
        ),
        with(
            "drain",
            Form::Duration { zero: true },
            "5m",
            "How long streams in flight may take to finish after SIGTERM and `lead`.",
        ),
        key(
            "upgrade_socket",
            Form::Path,
            "Where a process that gets SIGQUIT hands its listening sockets to one that was started with `--upgrade`: a Unix socket, at most 107 bytes, in a folder that nobody else may write to. Left out, nothing is handed over.",
        ),
    ],
};

static LOG: Section = Section {
    name: "`log`",
    required: &[],
    keys: &[
        with(
            "format",
            Form::Choice(&["json", "text"]),
            "json",
            "One JSON object a line, or one sentence a line.",
        ),
        with(
            "level",
            Form::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
            "info",
            "The most detailed level written.",
        ),
    ],
};
