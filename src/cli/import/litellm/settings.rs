//! `router_settings`, `litellm_settings`, `general_settings`.
//!
//! Most of the router's may stand in `litellm_settings` as well; where both
//! are there, the router's hold
//! (docs.litellm.ai/docs/proxy/config_settings, "router_settings").

use serde_json::Value;

use super::{Import, keys};
use crate::cli::import::draft::{Holds, Key, Written, duration};
use crate::cli::import::report::{Path, Report, shown};
use crate::cli::import::section::{Said, Section, texts};
use crate::config::Digest;

/// The three sections, and what was read of them.
pub(super) struct Settings {
    router: Section,
    litellm: Section,
    general: Section,
    environment: Section,
}

/// A key this short can be found from its SHA-256 by trying.
const SHORT: usize = 20;

/// What clients' key is called.
const KEY: &str = "litellm-master-key";

/// The variable that stands for the SHA-256 of a key that comes from another.
const DIGEST: &str = "LITELLM_MASTER_KEY_SHA256";

impl Settings {
    pub(super) fn take(top: &mut Section, report: &mut Report) -> Self {
        let mut section = |key: &str| Section::of(top.take(key), Path::whole().at(key), report);
        Self {
            router: section("router_settings"),
            litellm: section("litellm_settings"),
            general: section("general_settings"),
            environment: section("environment_variables"),
        }
    }

    /// The section that has a key, the router's first; the other's is told.
    fn of(&mut self, key: &str, report: &mut Report) -> &mut Section {
        if !self.router.has(key) {
            return &mut self.litellm;
        }
        if self.litellm.take(key).is_some() {
            let why = "`router_settings` has it too, and that one holds";
            report.dropped(&self.litellm.path.at(key), why);
        }
        &mut self.router
    }

    pub(super) fn number(&mut self, key: &str, report: &mut Report) -> Option<f64> {
        self.of(key, report).number(key, report)
    }

    /// A list of names, and where it stands.
    pub(super) fn names(&mut self, key: &str, report: &mut Report) -> (Vec<String>, Path) {
        let section = self.of(key, report);
        (section.texts(key, report), section.path.at(key))
    }

    /// `[{a: [b, c]}, …]`, as name, list and place.
    pub(super) fn lists(
        &mut self,
        key: &str,
        report: &mut Report,
    ) -> Vec<(String, Vec<String>, Path)> {
        let section = self.of(key, report);
        let path = section.path.at(key);
        let entries = match section.take(key) {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries,
            // Where the list's dash was forgotten.
            Some(Value::Object(entry)) => vec![Value::Object(entry)],
            Some(Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_)) => {
                report.dropped(&path, "is no list of `MODEL: [FALLBACK, …]`");
                Vec::new()
            }
        };
        let mut lists = Vec::new();
        for entry in entries {
            let Value::Object(entry) = entry else {
                report.dropped(&path, "has an entry that is no `MODEL: [FALLBACK, …]`");
                continue;
            };
            for (name, list) in entry {
                let path = path.at(&name);
                let list = texts(list, &path, report);
                lists.push((name, list, path));
            }
        }
        lists
    }

    /// `model_group_alias`, also as `litellm_settings` has it.
    pub(super) fn aliases(&mut self, report: &mut Report) -> Vec<(String, Value, Path)> {
        let section = self.of("model_group_alias", report);
        let path = section.path.at("model_group_alias");
        let value = section.take("model_group_alias");
        let aliases = Section::of(value, path.clone(), report).into_entries();
        aliases
            .into_iter()
            .map(|(alias, value)| {
                let path = path.at(&alias);
                (alias, value, path)
            })
            .collect()
    }

    /// Everything else: what is carried over, and a word about what is not.
    pub(super) fn rest(mut self, import: &mut Import) {
        self.times(import);
        self.health(import);
        self.strategy(import);
        self.callbacks(import);
        self.general(import);
        let report = &mut import.report;
        for key in self.environment.keys() {
            let path = self.environment.path.at(&key);
            let why = "values of variables are not copied: set it in the environment of the process, if it is needed";
            report.dropped(&path, why);
        }
        self.router.rest(&[keys::ROUTER, keys::SHARED], report);
        self.litellm.rest(&[keys::LITELLM, keys::SHARED], report);
        self.general.rest(&[keys::GENERAL], report);
    }

    fn times(&mut self, import: &mut Import) {
        let report = &mut import.report;
        let answer = self.number("timeout", report);
        let request = self.litellm.number("request_timeout", report);
        if answer.is_some() && request.is_some() {
            let why = "`router_settings.timeout` holds";
            report.dropped(&self.litellm.path.at("request_timeout"), why);
        }
        let stream = self.number("stream_timeout", report);
        let mut usable = |seconds: Option<f64>, key: &str| {
            let good = seconds.filter(|seconds| (1e-3..=31_536_000.0).contains(seconds));
            if good.is_none() && seconds.is_some() {
                let why = "is no time above 0, and up to a year";
                report.dropped(&self.router.path.at(key), why);
            }
            good
        };
        let answer = usable(answer.or(request), "timeout");
        let stream = usable(stream, "stream_timeout");
        let failover = import.draft.sections.entry("failover").or_default();
        if let Some(first) = stream.or(answer) {
            failover.push(("first_token_timeout", duration(first)));
        }
        if let Some(answer) = answer {
            failover.push(("answer_timeout", duration(answer)));
        }
        // An attempt cannot take longer than all of them together.
        let longest = [stream, answer].into_iter().flatten().fold(600.0, f64::max);
        if longest > 600.0 {
            failover.push(("total_timeout", duration(longest)));
        }
        if failover.is_empty() {
            import.draft.sections.remove("failover");
        }
        for model in &mut import.draft.models {
            let own = [model.timeouts.first_token, model.timeouts.answer];
            let own = own.into_iter().flatten().fold(0.0, f64::max);
            model.timeouts.total = (own > longest).then_some(own);
        }
    }

    fn health(&mut self, import: &mut Import) {
        let report = &mut import.report;
        let fails_path = self.of("allowed_fails", report).path.at("allowed_fails");
        let fails = self.number("allowed_fails", report);
        let cooldown_path = self.of("cooldown_time", report).path.at("cooldown_time");
        let cooldown = self.number("cooldown_time", report);
        let mut health = Vec::new();
        if let Some(fails) = fails {
            let failures = (fails.trunc() + 1.0).clamp(1.0, 100.0);
            health.push(("failures", failures.to_string()));
            let why = "LiteLLM counts failures in a minute, Standin in a row: `health.failures` is one more";
            report.differs(&fails_path, why);
        }
        if let Some(seconds) = cooldown {
            let path = cooldown_path;
            if (1e-3..=86400.0).contains(&seconds) {
                health.push(("cooldown", duration(seconds)));
                if seconds > 60.0 {
                    health.push(("max_cooldown", duration(seconds)));
                }
                let why = "is the first time out; it doubles with each failed probe up to `health.max_cooldown`, and a provider's own `retry-after` goes before it";
                report.differs(&path, why);
            } else {
                let why = "`health.cooldown` lies between 1ms and 24h, and cannot be turned off";
                report.dropped(&path, why);
            }
        }
        if !health.is_empty() {
            import.draft.sections.insert("health", health);
        }
    }

    fn strategy(&mut self, import: &mut Import) {
        let path = self.router.path.at("routing_strategy");
        match self.router.text("routing_strategy", &mut import.report) {
            None => {}
            Some(Said::Literal(name)) if name == "simple-shuffle" => {}
            Some(Said::Literal(name)) => {
                let why = format!(
                    "`{}`: targets are drawn by weight, or tried in order; those that are rate limited or failing are passed over",
                    shown(&name)
                );
                import.report.dropped(&path, why);
            }
            Some(Said::Variable(_)) => import.report.dropped(&path, "comes from the environment"),
        }
    }

    fn callbacks(&mut self, import: &mut Import) {
        for key in [
            "callbacks",
            "success_callback",
            "failure_callback",
            "service_callbacks",
        ] {
            let path = self.litellm.path.at(key);
            for name in self.litellm.texts(key, &mut import.report) {
                let why = match name.as_str() {
                    "prometheus" => "`prometheus`: `/metrics` on the admin port is always there, with names of its own (deploy/prometheus, deploy/grafana)".to_owned(),
                    "otel" => "`otel`: add `otlp: { endpoint: … }`, which sends spans by OTLP over HTTP".to_owned(),
                    name => format!("`{}`: nothing is called for each request; the log has a line for each, and `GET /-/usage` the ledger's rows", shown(name)),
                };
                import.report.dropped(&path, why);
            }
        }
    }

    fn general(&mut self, import: &mut Import) {
        let path = self.general.path.at("master_key");
        match self.general.text("master_key", &mut import.report) {
            None => {}
            Some(Said::Literal(key)) => {
                let why = if key.len() < SHORT {
                    "clients' key goes on to work, and only its SHA-256 is written; one so short is found from that by trying: give clients new ones (`standin key new`)"
                } else {
                    "clients' key goes on to work, and only its SHA-256 is written"
                };
                import.report.differs(&path, why);
                let sha256 = Digest::of(key.as_bytes()).to_string();
                import.draft.key = Some(the_key(Written(sha256)));
            }
            Some(Said::Variable(name)) => {
                let why = format!(
                    "clients' key goes on to work; set the variable `{DIGEST}` to its SHA-256: printf %s \"${}\" | sha256sum | cut -d' ' -f1",
                    shown(&name)
                );
                match import.variable(DIGEST, Holds::Digest) {
                    Ok(variable) => {
                        import.report.differs(&path, why);
                        import.draft.key = Some(the_key(variable));
                    }
                    Err(why) => import.report.dropped(&path, why),
                }
            }
        }
        if let Some(mib) = self
            .general
            .number("max_request_size_mb", &mut import.report)
        {
            let path = self.general.path.at("max_request_size_mb");
            if (1.0..=1024.0).contains(&mib) {
                let body = format!("{}MiB", mib.trunc());
                let limits = import.draft.sections.entry("limits").or_default();
                limits.push(("request_body", body));
            } else {
                let why = "`limits.request_body` lies between 1KiB and 1GiB";
                import.report.dropped(&path, why);
            }
        }
    }
}

fn the_key(sha256: Written) -> Key {
    Key {
        name: KEY,
        sha256,
        models: Vec::new(),
    }
}
