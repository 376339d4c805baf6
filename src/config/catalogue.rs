//! Well-known providers: `conf/catalogue.yaml`, built in.

use std::sync::{Arc, LazyLock};

use super::check;
use super::check::{Surroundings, edits, kind, secret};
use super::keys::{CATALOGUE, ROOT};
use super::lookup::matches;
use super::meant::{BaseUrl, Config, Credential, HttpVersion, Provider, Rule, Timeouts};
use super::node::Key;
use super::prices;
use super::problem::{Found, Place};
use super::shape::Fields;
use super::source;
use super::url::base_url;
use crate::base::{ModelName, ProviderName};
use crate::dialect::Kind;

/// The file's name, for messages.
pub(super) const FILE: &str = "conf/catalogue.yaml";
pub(super) const TEXT: &str = include_str!("../../conf/catalogue.yaml");

/// One well-known provider.
#[derive(Debug)]
pub(super) struct Known {
    name: ProviderName,
    place: Place,
    kind: Kind,
    base_url: BaseUrl,
    /// Globs over the hosts at which it is met.
    hosts: Vec<String>,
    /// Variables with its credential; the first that is set counts.
    key_env: Vec<String>,
    /// Whether its address alone enables it.
    key_optional: bool,
    url_env: Option<String>,
    url_required: bool,
    host_env: Option<String>,
    version_env: Option<String>,
    pub(super) stream_usage: bool,
    models: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// The catalogue is a part of the program: a test holds that nothing is wrong
/// with it.
static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| read(TEXT, &mut Found::default()));

pub(super) fn read(text: &str, found: &mut Found) -> Vec<Known> {
    // `${…}` has no meaning in the catalogue.
    let Some(root) = source::read(text.as_bytes(), &|_| None, found) else {
        return Vec::new();
    };
    let fields = Fields::of(&root, &CATALOGUE, found);
    let sections = fields.sections("providers", found);
    sections
        .iter()
        .filter_map(|(name, fields)| Known::read(name, fields, found))
        .collect()
}

impl Known {
    /// The well-known provider at a host, if it is one's.
    pub(super) fn at(host: &str) -> Option<&'static Self> {
        let here = |known: &&Self| known.hosts.iter().any(|glob| matches(glob, host));
        ALL.iter().find(here)
    }

    /// Its models, as `GET /v1/models` names them for a provider's name.
    pub(super) fn listed(&self, provider: &ProviderName) -> impl Iterator<Item = ModelName> {
        self.models
            .iter()
            .map(move |model| ModelName::from(format!("{provider}/{model}").as_str()))
    }

    fn read(name: &Key, fields: &Fields<'_>, found: &mut Found) -> Option<Self> {
        let (url, place) = fields.text("base_url", found)?;
        let base_url = base_url(&url.text)
            .map_err(|why| found.add(place, format!("`base_url` {why}")))
            .ok()?;
        let texts = |name: &str, found: &mut Found| -> Vec<String> {
            let texts = fields.texts(name, found);
            texts
                .iter()
                .map(|(text, _)| text.text.to_string())
                .collect()
        };
        let text = |name: &str, found: &mut Found| {
            fields
                .text(name, found)
                .map(|(text, _)| text.text.to_string())
        };
        let mut rules = Vec::new();
        for rule in fields.list("rules", found) {
            let edits = edits(&rule, found);
            for (glob, _) in rule.texts("models", found) {
                rules.push(Rule {
                    models: glob.text.to_string(),
                    edits: Arc::clone(&edits),
                });
            }
        }
        let hosts = match fields.node("hosts") {
            Some(_) => texts("hosts", found),
            None => vec![base_url.host.clone()],
        };
        Some(Self {
            name: ProviderName::from(&*name.text),
            place: name.place,
            kind: kind(fields, found),
            base_url,
            hosts,
            key_env: texts("key_env", found),
            key_optional: fields.boolean("key_optional", found)?,
            url_env: text("url_env", found),
            url_required: fields.boolean("url_required", found)?,
            host_env: text("host_env", found),
            version_env: text("version_env", found),
            stream_usage: fields.boolean("stream_usage", found)?,
            models: texts("models", found),
            rules,
        })
    }

    /// The provider at a place of the list, where the environment enables it.
    fn enabled(
        &self,
        index: usize,
        usual: &Timeouts,
        around: &dyn Surroundings,
        found: &mut Found,
    ) -> Option<Provider> {
        let set = |name: &String| {
            let value = around.var(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (name.clone(), value.to_owned()))
        };
        let key = self.key_env.iter().find_map(set);
        let url = self.url_env.as_ref().and_then(set);
        let host = self.host_env.as_ref().and_then(set);
        let version = self.version_env.as_ref().and_then(set);
        let addressed = url.is_some() || host.is_some();
        let enabled = (key.is_some() || (self.key_optional && addressed))
            && (url.is_some() || !self.url_required)
            && (version.is_some() || self.version_env.is_none());
        if !enabled {
            return None;
        }
        let mut tell = |name: &str, why: &str| {
            found.add(
                self.place,
                format!("the environment variable `{name}` {why}"),
            );
        };
        let credential = match &key {
            None => Credential::None,
            Some((name, key)) => match secret(key) {
                Ok(secret) => Credential::Inline(secret),
                Err(why) => {
                    tell(name, why);
                    return None;
                }
            },
        };
        let given = match (url, host) {
            (Some((name, url)), _) => Some((base_url(&url), name)),
            (None, Some((name, host))) => Some((self.at_host(&host), name)),
            (None, None) => None,
        };
        let base_url = match given {
            None => self.base_url.clone(),
            Some((Ok(url), _)) => url,
            Some((Err(why), name)) => {
                tell(&name, why);
                return None;
            }
        };
        let prices = prices::at(&base_url.host);
        Some(Provider {
            name: self.name.clone(),
            index,
            kind: self.kind,
            base_url,
            headers: Vec::new(),
            credential,
            api_version: version.map(|(_, version)| version),
            stream_usage: self.stream_usage,
            http: HttpVersion::Auto,
            tls: None,
            timeouts: *usual,
            rules: self.rules.clone(),
            prices,
        })
    }

    /// The base URL for `host`, `host:port`, `:port` or a whole URL, as
    /// Ollama reads `OLLAMA_HOST`: what is not given is the catalogue's, but
    /// a URL's port is its scheme's. An address to listen on everywhere is
    /// reached on this machine.
    fn at_host(&self, host: &str) -> Result<BaseUrl, &'static str> {
        let usual = &self.base_url;
        let whole = host.contains("://");
        let text = match host {
            host if whole => host.to_owned(),
            // An IPv6 address may come without brackets.
            host if host.parse::<std::net::Ipv6Addr>().is_ok() => format!("http://[{host}]"),
            host if host.starts_with(':') => format!("http://{}{host}", usual.host),
            host => format!("http://{host}"),
        };
        let after_host = text.rsplit(']').next().unwrap_or_default();
        let after_host = after_host
            .split_once("://")
            .map_or(after_host, |(_, rest)| rest);
        let port_given = after_host.contains(':');
        let mut url = base_url(&text)?;
        if !whole && !port_given {
            url.port = usual.port;
        }
        if url.host == "0.0.0.0" || url.host == "::" {
            url.host.clone_from(&usual.host);
        }
        if url.path.is_empty() {
            url.path.clone_from(&usual.path);
        }
        Ok(url)
    }
}

/// The configuration of every well-known provider that the environment
/// enables, everything else as it is without being said.
pub(super) fn config(around: &dyn Surroundings, found: &mut Found) -> Config {
    let (mut config, usual) = check::frame(&Fields::none(Place::START, &ROOT), around, found);
    for known in ALL.iter() {
        if let Some(provider) = known.enabled(config.providers.len(), &usual, around, found) {
            config.listed.extend(known.listed(&provider.name));
            config.providers.push(Arc::new(provider));
        }
    }
    config.listed.sort();
    config.default_provider = config.providers.first().cloned();
    if config.providers.is_empty() && found.is_empty() {
        let variables: Vec<String> = ALL.iter().filter_map(Known::variables).collect();
        let why = format!(
            "no provider is enabled: set {}, or write a configuration file",
            variables.join(" or ")
        );
        found.add(Place::START, why);
    }
    config
}

impl Known {
    /// The variables that enable it in the first place.
    fn variables(&self) -> Option<String> {
        let address = self.url_env.as_ref().or(self.host_env.as_ref());
        let key = self.key_env.first();
        if self.key_optional {
            return address.or(key).cloned();
        }
        let also: Vec<&str> = [
            address.filter(|_| self.url_required),
            self.version_env.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
        let key = key?;
        Some(if also.is_empty() {
            key.clone()
        } else {
            format!("{key} with {}", also.join(" and "))
        })
    }
}
