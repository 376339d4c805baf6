//! The keys of the catalogue.

use super::{Form, Section, key, with};

/// The built-in catalogue, `conf/catalogue.yaml`.
pub(in crate::config) static CATALOGUE: Section = Section {
    name: "the catalogue",
    required: &["providers"],
    keys: &[key(
        "providers",
        Form::Sections(&KNOWN),
        "Well-known providers, by name.",
    )],
};

static KNOWN: Section = Section {
    name: "a well-known provider",
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
            "Its address, where no variable gives another.",
        ),
        key(
            "hosts",
            Form::Texts,
            "Globs over the hosts at which it is met; default: the base URL's.",
        ),
        key(
            "key_env",
            Form::Texts,
            "Variables with its credential; the first that is set counts.",
        ),
        with(
            "key_optional",
            Form::Bool,
            "false",
            "Whether its address alone enables it.",
        ),
        key("url_env", Form::Text, "A variable with its base URL."),
        with(
            "url_required",
            Form::Bool,
            "false",
            "Whether that variable has to be set.",
        ),
        key(
            "host_env",
            Form::Text,
            "A variable with its `host`, `host:port` or URL, the rest being the base URL's.",
        ),
        key(
            "version_env",
            Form::Text,
            "A variable with Azure's `api-version`.",
        ),
        with(
            "stream_usage",
            Form::Bool,
            "true",
            "Whether it takes `stream_options`.",
        ),
        key("models", Form::Texts, "What `GET /v1/models` lists."),
        key(
            "rules",
            Form::List(&RULE),
            "What its models want otherwise; the first that matches counts.",
        ),
    ],
};

static RULE: Section = Section {
    name: "a rule",
    required: &["models"],
    keys: &[
        key(
            "models",
            Form::Texts,
            "Globs over the provider's own names.",
        ),
        key("drop", Form::Texts, "As in a model's `request`."),
        key("rename", Form::Pairs, "As in a model's `request`."),
        key("set", Form::Anything, "As in a model's `request`."),
    ],
};
