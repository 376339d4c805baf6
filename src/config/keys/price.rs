//! The keys of a price, and of the built-in list of prices.

use super::{Form, Key, Section, key};

/// What a model or a target costs.
pub(super) static PRICE: Section = Section {
    name: "`price`",
    required: &["input", "output"],
    keys: &[
        INPUT,
        CACHED_INPUT,
        CACHE_WRITE,
        INPUT_AUDIO,
        OUTPUT,
        OUTPUT_AUDIO,
        LONG_CONTEXT,
        key(
            "tiers",
            Form::Section(&TIERS),
            "Prices of the service tiers that an answer may name in `service_tier`. One that is not here costs what stands above.",
        ),
    ],
};

const INPUT: Key = key(
    "input",
    Form::Price,
    "USD for a million tokens of the prompt.",
);
const CACHED_INPUT: Key = key(
    "cached_input",
    Form::Price,
    "The same for those read from the provider's cache. Default: `input`.",
);
const CACHE_WRITE: Key = key(
    "cache_write",
    Form::Price,
    "The same for those written into the provider's cache. Default: `input`.",
);
const INPUT_AUDIO: Key = key(
    "input_audio",
    Form::Price,
    "The same for sound in the prompt. Default: `input`.",
);
const OUTPUT: Key = key(
    "output",
    Form::Price,
    "USD for a million tokens of the answer, thoughts among them; 0 for embeddings.",
);
const OUTPUT_AUDIO: Key = key(
    "output_audio",
    Form::Price,
    "The same for sound in the answer. Default: `output`.",
);
const LONG_CONTEXT: Key = key(
    "long_context",
    Form::Section(&LONG),
    "What all tokens of a request cost, the answer's as well, whose prompt is longer than `above`.",
);

static LONG: Section = Section {
    name: "`long_context`",
    required: &["above", "input", "output"],
    keys: &[
        key(
            "above",
            Form::Whole(1, 1_000_000_000),
            "Tokens of the prompt up to which the usual prices hold.",
        ),
        INPUT,
        CACHED_INPUT,
        CACHE_WRITE,
        INPUT_AUDIO,
        OUTPUT,
        OUTPUT_AUDIO,
    ],
};

static TIERS: Section = Section {
    name: "`tiers`",
    required: &[],
    keys: &[
        key(
            "batch",
            Form::Section(&TIER),
            "Answers at any time within hours.",
        ),
        key("flex", Form::Section(&TIER), "Cheaper and slower."),
        key("priority", Form::Section(&TIER), "Dearer and faster."),
    ],
};

static TIER: Section = Section {
    name: "a tier",
    required: &["input", "output"],
    keys: &[
        INPUT,
        CACHED_INPUT,
        CACHE_WRITE,
        INPUT_AUDIO,
        OUTPUT,
        OUTPUT_AUDIO,
        LONG_CONTEXT,
    ],
};

/// The built-in list, `conf/prices.yaml`.
pub(in crate::config) static PRICES: Section = Section {
    name: "the list of prices",
    required: &["providers"],
    keys: &[key(
        "providers",
        Form::Sections(&PROVIDER),
        "Well-known providers, by name.",
    )],
};

static PROVIDER: Section = Section {
    name: "a provider's prices",
    required: &["hosts", "prices"],
    keys: &[
        key(
            "hosts",
            Form::Texts,
            "Globs over the hosts at which these prices hold.",
        ),
        key(
            "prices",
            Form::List(&ENTRY),
            "What its models cost; the first that matches counts.",
        ),
    ],
};

static ENTRY: Section = Section {
    name: "an entry",
    required: &["models", "price", "source", "date"],
    keys: &[
        key(
            "models",
            Form::Texts,
            "Globs over the provider's own names.",
        ),
        key("price", Form::Section(&PRICE), "As in a model's `price`."),
        key("source", Form::Text, "The page that says so."),
        key("date", Form::Text, "The day on which it said so."),
    ],
};
