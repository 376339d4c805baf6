//! `litellm_params` → where a deployment is sent, and as what.

use serde_json::Value;

use super::Import;
use super::places::{Base, Known, Url, implied, known};
use crate::cli::import::draft::{Holds, Place, Written};
use crate::cli::import::report::{Fate, shown};
use crate::cli::import::section::{Said, Section};
use crate::config::{wrong_base_url, wrong_header};

/// Headers whose values are no secret.
const OPEN: [&str; 8] = [
    "anthropic-beta",
    "anthropic-version",
    "http-referer",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "user-agent",
    "x-title",
];

/// Keys that are written where none is needed.
const PLACEHOLDERS: [&str; 12] = [
    "anything",
    "dummy",
    "empty",
    "fake",
    "fake-api-key",
    "fake-key",
    "na",
    "no-key",
    "none",
    "not-needed",
    "null",
    "sk-no-key-required",
];

const VERSION: &str = "2024-10-21";

/// Where and as what.
pub(super) struct Way {
    /// What the provider is to be called.
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) upstream_model: Written,
}

/// Reads where a deployment is sent.
///
/// # Errors
/// Why there is no way to it.
pub(super) fn way(params: &mut Section, import: &mut Import) -> Result<Way, String> {
    let model = match params.text("model", &mut import.report) {
        Some(Said::Literal(model)) => model,
        Some(Said::Variable(_)) => {
            return Err("its `model` comes from the environment, so that nobody can tell here where it goes: write it in by hand".to_owned());
        }
        None => return Err("it has no `litellm_params.model`".to_owned()),
    };
    let own = params.literal("custom_llm_provider", &mut import.report);
    let (prefix, model) = split(&model, own.as_deref())?;
    if prefix == "azure" || prefix == "azure_text" {
        return azure(&model, params, import);
    }
    let known = known(&prefix).map_err(|why| format!("`{}/`: {why}", shown(&prefix)))?;
    if let Some(rest) = model.strip_prefix("responses/") {
        return Err(format!(
            "`responses/{}` is LiteLLM's bridge from chat completions to the Responses API; Standin translates nothing",
            shown(rest)
        ));
    }
    let base_url = base_url(&known, params, import)?;
    let api_key = api_key(known.name, known.key, params, import);
    let headers = headers(
        known.name,
        "authorization",
        api_key.is_some(),
        params,
        import,
    );
    let upstream_model = if prefix == "fireworks_ai" && !model.starts_with("accounts/") {
        format!("accounts/fireworks/models/{model}")
    } else {
        model
    };
    if !known.note.is_empty() {
        import.report.differs(&params.path.at("model"), known.note);
    }
    Ok(Way {
        name: known.name,
        place: Place {
            azure: false,
            base_url,
            api_key,
            api_version: None,
            headers,
        },
        upstream_model: Written::literal(&upstream_model),
    })
}

/// The provider's prefix, and the model's name there.
fn split(model: &str, own: Option<&str>) -> Result<(String, String), String> {
    let split = model.split_once('/');
    let (prefix, rest) = match (own, split) {
        (Some(own), Some((prefix, rest))) if prefix == own => (own, rest),
        (Some(own), _) => (own, model),
        (None, Some((prefix, rest))) => (prefix, rest),
        (None, None) => match implied(model) {
            Some(prefix) => (prefix, model),
            None => {
                return Err(format!(
                    "`{}` names no provider, and it is not known here which one LiteLLM takes for it: write `PROVIDER/{0}`",
                    shown(model)
                ));
            }
        },
    };
    if rest.trim().is_empty() {
        return Err("nothing follows the provider's prefix in `litellm_params.model`".to_owned());
    }
    if rest.len() > 256 || rest.contains(char::is_control) {
        return Err("its `litellm_params.model` is longer than any model's name, or has a control character".to_owned());
    }
    Ok((prefix.to_owned(), rest.to_owned()))
}

/// `api_base`, also as `base_url`.
fn given_base(params: &mut Section, import: &mut Import) -> Option<Said> {
    let base = params.text("api_base", &mut import.report);
    let other = params.text("base_url", &mut import.report);
    base.or(other)
}

fn base_url(known: &Known, params: &mut Section, import: &mut Import) -> Result<Written, String> {
    let path = params.path.at("api_base");
    let said = match (given_base(params, import), known.url) {
        (Some(_), _) if known.base == Base::UsualOnly => {
            return Err(format!(
                "it has an `api_base` of its own, of which it is not known whether it speaks OpenAI's format: add a provider with its `base_url` by hand ({} does)",
                match known.url {
                    Url::Usual(url) => url,
                    Url::Nowhere | Url::Variable(_) => "none",
                }
            ));
        }
        (Some(said), _) => said,
        (None, Url::Usual(url)) => return Ok(Written::literal(url)),
        (None, Url::Variable(name)) => Said::Variable(name.to_owned()),
        (None, Url::Nowhere) => return Err("it has no `api_base`".to_owned()),
    };
    let with_v1 = known.base == Base::WithV1;
    match said {
        Said::Variable(name) => {
            let variable = import.variable(&name, Holds::Address)?;
            if !with_v1 {
                return Ok(variable);
            }
            import.report.differs(
                &path,
                format!("`/v1` is added to what the variable `{}` says: take it away there if it ends with that already", shown(&name)),
            );
            Ok(Written(format!("{}/v1", variable.0)))
        }
        Said::Literal(url) => {
            let mut url = url.trim().trim_end_matches('/').to_owned();
            for end in [
                "/chat/completions",
                "/completions",
                "/embeddings",
                "/responses",
                "/v1/messages",
            ] {
                if let Some(base) = url.strip_suffix(end) {
                    url = base.trim_end_matches('/').to_owned();
                    import.report.differs(
                        &path,
                        format!("`{end}` is left out: Standin adds the endpoint's own path"),
                    );
                }
            }
            if with_v1 && !url.ends_with("/v1") {
                url += "/v1";
            }
            match wrong_base_url(&url) {
                Some(why) => Err(format!("its `api_base` {why}")),
                None => Ok(Written::literal(&url)),
            }
        }
    }
}

/// Azure: deployments at an address with a version, or the newer address that
/// is OpenAI's.
fn azure(model: &str, params: &mut Section, import: &mut Import) -> Result<Way, String> {
    let name = "azure";
    let mut deployment = model;
    for series in ["o_series/", "gpt5_series/"] {
        deployment = deployment.strip_prefix(series).unwrap_or(deployment);
    }
    if deployment.starts_with("responses/") {
        return Err("`responses/` is LiteLLM's bridge from chat completions to the Responses API; Standin translates nothing".to_owned());
    }
    let base = given_base(params, import).unwrap_or(Said::Variable("AZURE_API_BASE".to_owned()));
    let (base_url, v1) = match base {
        Said::Variable(variable) => (import.variable(&variable, Holds::Address)?, false),
        Said::Literal(url) => {
            let url = url.trim().trim_end_matches('/');
            let (url, rest) = url.split_once("/openai/deployments").unwrap_or((url, ""));
            if !rest.is_empty() {
                let why = "what follows `/openai` is left out: the deployment is the one that `model` names";
                import.report.differs(&params.path.at("api_base"), why);
            }
            if let Some(why) = wrong_base_url(url) {
                return Err(format!("its `api_base` {why}"));
            }
            (Written::literal(url), url.ends_with("/openai/v1"))
        }
    };
    let version = params.text("api_version", &mut import.report);
    let api_version = match version {
        Some(_) if v1 => {
            let path = params.path.at("api_version");
            import.report.say(Fate::Idle, &path, "");
            None
        }
        None if v1 => None,
        Some(Said::Literal(version)) if is_version(&version) => Some(Written(version)),
        Some(Said::Literal(_)) => {
            return Err(format!(
                "its `api_version` is no date as Azure writes it, such as {VERSION}; addresses that end in `/openai/v1` need none"
            ));
        }
        Some(Said::Variable(name)) => Some(import.variable(&name, Holds::Version)?),
        None => Some(import.variable("AZURE_API_VERSION", Holds::Version)?),
    };
    let api_key = api_key(name, Some("AZURE_API_KEY"), params, import);
    let by = if v1 { "authorization" } else { "api-key" };
    let headers = headers(name, by, api_key.is_some(), params, import);
    Ok(Way {
        name,
        place: Place {
            azure: !v1,
            base_url,
            api_key,
            api_version,
            headers,
        },
        upstream_model: Written::literal(deployment),
    })
}

fn is_version(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    text.starts_with(|c: char| c.is_ascii_digit()) && text.len() <= 64 && text.bytes().all(good)
}

/// The credential. What is written in clear is not repeated.
fn api_key(
    provider: &str,
    usual: Option<&str>,
    params: &mut Section,
    import: &mut Import,
) -> Option<Written> {
    let path = params.path.at("api_key");
    match (params.text("api_key", &mut import.report), usual) {
        (Some(Said::Variable(name)), _) => match import.variable(&name, Holds::Text) {
            Ok(variable) => Some(variable),
            Err(why) => {
                import.report.dropped(&path, why);
                None
            }
        },
        (Some(Said::Literal(key)), _)
            if PLACEHOLDERS.contains(&key.trim().to_ascii_lowercase().as_str()) =>
        {
            let why = "a placeholder, so no key is sent: set `api_key` where the server wants one";
            import.report.differs(&path, why);
            None
        }
        (Some(Said::Literal(key)), _) => {
            Some(import.secret(provider, "API_KEY", key.trim(), &path))
        }
        (None, Some(usual)) => {
            let variable = import.variable(usual, Holds::Text).ok()?;
            let why = format!(
                "is not there: `{usual}` is taken, as LiteLLM does, and sent to this provider's address"
            );
            import.report.differs(&path, why);
            Some(variable)
        }
        (None, None) => None,
    }
}

/// Headers that are sent along; `by` carries the credential where there is one.
fn headers(
    provider: &str,
    by: &str,
    has_key: bool,
    params: &mut Section,
    import: &mut Import,
) -> Vec<(String, Written)> {
    let mut all: Vec<(String, Written)> = Vec::new();
    if let Some(organization) = params.take("organization") {
        let path = params.path.at("organization");
        let mut one = serde_json::Map::new();
        if let Value::String(_) = organization {
            one.insert("OpenAI-Organization".to_owned(), organization);
        } else {
            let why = "several organizations: add a provider for each by hand";
            import.report.dropped(&path, why);
        }
        let mut section = Section::of(Some(Value::Object(one)), path, &mut import.report);
        header(
            &mut all,
            provider,
            "OpenAI-Organization",
            &mut section,
            import,
        );
    }
    for key in ["extra_headers", "headers"] {
        let path = params.path.at(key);
        let mut section = Section::of(params.take(key), path, &mut import.report);
        for name in section.keys() {
            let lower = name.to_ascii_lowercase();
            let wrong = if all.iter().any(|(other, _)| *other == lower) {
                Some("is there already: case makes no difference".to_owned())
            } else if has_key && lower == by {
                Some("carries the credential, which `api_key` does already".to_owned())
            } else {
                wrong_header(&name)
            };
            if let Some(why) = wrong {
                import.report.dropped(&section.path.at(&name), why);
                section.take(&name);
            } else {
                header(&mut all, provider, &name, &mut section, import);
            }
        }
    }
    all
}

fn header(
    all: &mut Vec<(String, Written)>,
    provider: &str,
    name: &str,
    section: &mut Section,
    import: &mut Import,
) {
    let path = section.path.at(name);
    let lower = name.to_ascii_lowercase();
    let printable = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let value = match section.text(name, &mut import.report) {
        None => return,
        Some(Said::Variable(variable)) => match import.variable(&variable, Holds::Text) {
            Ok(variable) => variable,
            Err(why) => {
                import.report.dropped(&path, why);
                return;
            }
        },
        Some(Said::Literal(value)) if !printable(value.trim()) => {
            let why = "has a character that no header can carry: it is printable ASCII";
            import.report.dropped(&path, why);
            return;
        }
        Some(Said::Literal(value)) if OPEN.contains(&lower.as_str()) => {
            Written::literal(value.trim())
        }
        Some(Said::Literal(value)) => {
            let purpose = format!("HEADER_{lower}");
            import.secret(provider, &purpose, value.trim(), &path)
        }
    };
    all.push((lower, value));
}
