//! LiteLLM's `config.yaml` → a configuration of Standin's.
//!
//! The format: docs.litellm.ai/docs/proxy/configs and config_settings, and
//! where those are silent LiteLLM's own `types/router.py`.

mod deployment;
mod fallbacks;
mod groups;
mod keys;
mod places;
mod price;
mod provider;
mod settings;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use self::deployment::Deployment;
use super::draft::{Draft, Holds, Place, Written};
use super::report::{Path, Report, shown};
use super::section::{Section, described};
use crate::config::wrong_provider_name;

/// Everything on the way.
#[derive(Debug, Default)]
pub(super) struct Import {
    pub(super) draft: Draft,
    pub(super) report: Report,
    /// Where each place stands among the draft's providers.
    places: HashMap<Place, usize>,
    names: HashSet<String>,
    /// Numbers that names were given last, by what they were wished to be.
    tries: HashMap<String, usize>,
    /// Values that stood in clear → the variable that takes their place.
    secrets: HashMap<String, String>,
    /// `credential_list`, by name.
    credentials: BTreeMap<String, Map<String, Value>>,
    /// `PROVIDER/*`, as far as there is one now.
    patterns: Vec<String>,
}

impl Import {
    /// Reads LiteLLM's configuration, `include` being done.
    ///
    /// # Errors
    /// It is none, or nothing of it can be carried over.
    pub(super) fn read(&mut self, root: Value) -> Result<(), String> {
        let Value::Object(mut root) = root else {
            return Err(format!(
                "this is no LiteLLM configuration: it is {}, not a mapping with a `model_list`",
                described(&root)
            ));
        };
        let list = match root.shift_remove("model_list") {
            Some(Value::Array(list)) => list,
            Some(other) => {
                return Err(format!(
                    "`model_list` is {}, and LiteLLM has a list there",
                    described(&other)
                ));
            }
            None => {
                return Err("this is no LiteLLM configuration: it has no `model_list`".to_owned());
            }
        };
        if list.is_empty() {
            return Err("`model_list` is empty: there is nothing to carry over".to_owned());
        }
        let mut top = Section::of(Some(Value::Object(root)), Path::whole(), &mut self.report);
        self.read_credentials(&mut top);
        let mut settings = settings::Settings::take(&mut top, &mut self.report);
        let mut deployments: Vec<Deployment> = Vec::new();
        for (at, entry) in list.into_iter().enumerate() {
            deployments.extend(deployment::deployment(at, entry, self));
        }
        let groups = groups::groups(deployments, &mut settings, self);
        fallbacks::fallbacks(groups, &mut settings, self);
        settings.rest(self);
        self.restrict_key();
        top.rest(&[keys::TOP], &mut self.report);
        if self.draft.providers.is_empty() {
            return Err("nothing of `model_list` could be carried over".to_owned());
        }
        Ok(())
    }

    /// A key may use what LiteLLM listed, and not all that its providers have.
    fn restrict_key(&mut self) {
        let Some(key) = &mut self.draft.key else {
            return;
        };
        let path = Path::whole().at("general_settings").at("master_key");
        let models = self.draft.models.iter().map(|model| &model.name);
        let names: Vec<String> = models.chain(&self.patterns).cloned().collect();
        let plain = |name: &String| !name.trim().is_empty();
        if self.draft.default_provider.is_some() {
            return;
        }
        if (1..=1000).contains(&names.len()) && names.iter().all(plain) {
            key.models = names;
        } else {
            let why = "the key may use every model of every provider: more than 1000 names cannot be listed";
            self.report.differs(&path, why);
        }
    }

    fn read_credentials(&mut self, top: &mut Section) {
        let Some(Value::Array(list)) = top.take("credential_list") else {
            return;
        };
        for (at, entry) in list.into_iter().enumerate() {
            let path = Path::entry("credential_list", at);
            let mut entry = Section::of(Some(entry), path.clone(), &mut self.report);
            let name = entry.literal("credential_name", &mut self.report);
            let values = entry.take("credential_values");
            let values = Section::of(values, path.at("credential_values"), &mut self.report);
            if let Some(name) = name {
                self.credentials.insert(name, values.into_entries());
            }
            entry.rest(&[keys::CREDENTIAL], &mut self.report);
        }
    }

    /// A variable of the environment.
    ///
    /// # Errors
    /// It cannot be one, or stands for something else already.
    fn variable(&mut self, name: &str, holds: Holds) -> Result<Written, String> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = (1..=200).contains(&name.len())
            && name.bytes().all(word)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !good {
            let name = shown(name);
            return Err(format!(
                "`{name}` cannot name a variable of the environment"
            ));
        }
        if !self.draft.uses(name, holds) {
            return Err(format!(
                "the variable `{name}` stands for something else already"
            ));
        }
        Ok(Written::variable(name))
    }

    /// A variable in the place of a value that stood in clear.
    fn secret(&mut self, provider: &str, purpose: &str, value: &str, path: &Path) -> Written {
        let name = if let Some(name) = self.secrets.get(value) {
            name.clone()
        } else {
            let upper = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            };
            let wish: String = format!("{provider}_{purpose}").chars().map(upper).collect();
            let wish: String = format!("IMPORTED_{wish}").chars().take(150).collect();
            let variables = &self.draft.variables;
            let name = free(&wish, '_', &mut self.tries, |name| {
                variables.contains_key(name)
            });
            self.secrets.insert(value.to_owned(), name.clone());
            name
        };
        self.draft.uses(&name, Holds::Text);
        let why = format!(
            "stands in clear in the file and is not copied: set the variable `{name}` to it"
        );
        self.report.differs(path, why);
        Written::variable(&name)
    }

    /// A provider for a place, the one that is there already if there is one.
    fn provider(&mut self, name: &str, place: Place) -> usize {
        if let Some(at) = self.places.get(&place) {
            return *at;
        }
        let names = &self.names;
        let name = free(name, '-', &mut self.tries, |name| names.contains(name));
        self.add_provider(name, place)
    }

    /// A provider of just this name, for clients' names that begin with it;
    /// nothing where another place has the name, or it can be none.
    fn provider_named(&mut self, name: &str, place: &Place) -> Option<usize> {
        let at = self
            .draft
            .providers
            .iter()
            .position(|(other, _)| other == name);
        match at {
            Some(at) => {
                let is_same = self
                    .draft
                    .providers
                    .get(at)
                    .is_some_and(|(_, other)| other == place);
                is_same.then_some(at)
            }
            None if wrong_provider_name(name).is_some() => None,
            None => Some(self.add_provider(name.to_owned(), place.clone())),
        }
    }

    fn add_provider(&mut self, name: String, place: Place) -> usize {
        let at = self.draft.providers.len();
        self.names.insert(name.clone());
        self.places.entry(place.clone()).or_insert(at);
        self.draft.providers.push((name, place));
        at
    }
}

/// The name that is wished for, or with a number behind it, so that it is not
/// taken yet.
fn free(
    wish: &str,
    between: char,
    tries: &mut HashMap<String, usize>,
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let nth = tries.entry(wish.to_owned()).or_insert(0);
    loop {
        *nth += 1;
        let name = match *nth {
            1 => wish.to_owned(),
            nth => format!("{wish}{between}{nth}"),
        };
        if !is_taken(&name) {
            return name;
        }
    }
}
