//! The keys of a client's key.

use super::{Form, Section, key, with};

pub(super) static CLIENT: Section = Section {
    name: "a client's key",
    required: &["name", "sha256"],
    keys: &[
        key(
            "name",
            Form::Text,
            "What the log, the metrics and the ledger call it: up to 64 letters, digits, `.`, `_`, `@` and `-`. Its limits and its spending go by the name, also when the key is replaced.",
        ),
        key(
            "sha256",
            Form::Digest,
            "The key's SHA-256 in hexadecimal, as `standin key new NAME` prints it.",
        ),
        key(
            "models",
            Form::Texts,
            "Globs over the names that clients use: the models that the key may use. Default: all.",
        ),
        key(
            "requests_per_minute",
            Form::Whole(1, 1_000_000),
            "Requests in any 60 seconds, for each process. Default: no limit.",
        ),
        key(
            "tokens_per_minute",
            Form::Whole(1, 2_000_000_000),
            "Tokens in any 60 seconds, input and output together, for each process. Estimated when a request begins, counted when it has ended. Default: no limit.",
        ),
        key(
            "concurrent_requests",
            Form::Whole(1, 1_000_000),
            "Requests of the key that are served at once, for each process. One more is refused with 429. Default: no limit.",
        ),
        key(
            "budget",
            Form::Section(&BUDGET),
            "What the key may spend, for each process. A key with a budget may not use a model whose price is not known.",
        ),
        with(
            "drills",
            Form::Bool,
            "false",
            "Whether the key's requests may say in `x-standin-fail` which candidates fail on purpose. Not needed where the configuration's own `drills` is `true`.",
        ),
        key(
            "tags",
            Form::Pairs,
            "Names and values that stand in each of the key's ledger rows.",
        ),
    ],
};

static BUDGET: Section = Section {
    name: "`budget`",
    required: &["usd"],
    keys: &[
        key(
            "usd",
            Form::Usd,
            "US dollars, above 0, with up to 12 digits after the point.",
        ),
        with(
            "per",
            Form::Choice(&["day", "month"]),
            "day",
            "When it begins anew, in UTC: each midnight, or the one before the first of each month.",
        ),
    ],
};
