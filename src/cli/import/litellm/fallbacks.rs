//! LiteLLM's four kinds of fallbacks → one list for each model.

use std::collections::{BTreeMap, HashSet};

use super::Import;
use super::groups::Groups;
use super::settings::Settings;
use crate::cli::import::draft::{Model, Request, Target, Timeouts, Written};
use crate::cli::import::report::{Path, shown};

/// As many as a request's list has beside its first name
/// (`limits.max_candidates`).
const MOST: usize = 15;

/// How often LiteLLM goes on to a fallback's own fallbacks (`max_fallbacks`).
const DEEP: usize = 5;

/// Fallbacks by the name that they are for.
type Lists = BTreeMap<String, Vec<String>>;

pub(super) fn fallbacks(mut groups: Groups, settings: &mut Settings, import: &mut Import) {
    let usual = settings.lists("fallbacks", &mut import.report);
    let long = settings.lists("context_window_fallbacks", &mut import.report);
    let policy = settings.lists("content_policy_fallbacks", &mut import.report);
    let (default, default_path) = settings.names("default_fallbacks", &mut import.report);
    let depth = settings.number("max_fallbacks", &mut import.report);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let depth = depth.map_or(DEEP, |depth| depth.clamp(0.0, 100.0) as usize);

    let resolves = Resolves::new(import);
    let mut lists = Lists::new();
    for (name, list, path) in usual {
        known((&name, &list, &path), &resolves, &mut groups, import);
        lists.entry(name).or_insert(list);
    }
    if !default.is_empty() && lists.contains_key("*") {
        let why = "`fallbacks` has a list for `*` already, and that one holds";
        import.report.dropped(&default_path, why);
    } else if !default.is_empty() {
        let said = ("*", default.as_slice(), &default_path);
        known(said, &resolves, &mut groups, import);
        lists.entry("*".to_owned()).or_insert(default);
    }
    // What LiteLLM goes to for one reason only comes after what it goes to for
    // all others.
    let mut special = Lists::new();
    for (name, list, path) in long.into_iter().chain(policy) {
        known((&name, &list, &path), &resolves, &mut groups, import);
        let why = "tried after the model's other fallbacks, and for other failures too: Standin walks one list whatever the failure";
        import.report.differs(&path, why);
        special.entry(name).or_default().extend(list);
    }

    let all: Vec<(usize, Vec<String>)> = import
        .draft
        .models
        .iter()
        .enumerate()
        .map(|(at, model)| {
            let mut walk = Walk {
                lists: &lists,
                special: &special,
                groups: &groups,
                resolves: &resolves,
                seen: [Some(&model.name), groups.aliases.get(&model.name)]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
                out: Vec::new(),
            };
            walk.on(&model.name, depth);
            (at, walk.out)
        })
        .collect();
    for (at, list) in all {
        if let Some(model) = import.draft.models.get_mut(at) {
            model.fallbacks = list;
        }
    }
}

/// What a name may stand for beside a model.
struct Resolves {
    providers: HashSet<String>,
    any: bool,
}

impl Resolves {
    fn new(import: &Import) -> Self {
        let providers = import.draft.providers.iter();
        Self {
            providers: providers.map(|(name, _)| name.clone()).collect(),
            any: import.draft.default_provider.is_some(),
        }
    }

    fn has(&self, name: &str) -> bool {
        if name.is_empty() || name.len() > 256 || name.contains(char::is_control) {
            return false;
        }
        match name.split_once('/') {
            Some((prefix, rest)) if self.providers.contains(prefix) => !rest.is_empty(),
            _ => self.any,
        }
    }
}

/// A model's fallbacks, theirs among them, in the order in which LiteLLM would
/// come to them.
struct Walk<'a> {
    lists: &'a Lists,
    special: &'a Lists,
    groups: &'a Groups,
    resolves: &'a Resolves,
    seen: HashSet<String>,
    out: Vec<String>,
}

impl Walk<'_> {
    fn on(&mut self, name: &str, depth: usize) {
        let Some(deeper) = depth.checked_sub(1) else {
            return;
        };
        // An alias has the fallbacks of what it stands for.
        let alias = self.groups.aliases.get(name);
        let own = self.lists.get(name);
        let own = own.or_else(|| self.lists.get(alias?));
        let special = self.special.get(name);
        let special = special.or_else(|| self.special.get(alias?));
        let lists = [own.or_else(|| self.lists.get("*")), special];
        for next in lists.into_iter().flatten().flatten() {
            if self.out.len() == MOST {
                return;
            }
            let is_here = self.groups.models.contains_key(next) || self.resolves.has(next);
            if is_here && self.seen.insert(next.clone()) {
                self.out.push(next.clone());
                self.on(next, deeper);
            }
        }
    }
}

/// Tells of names that stand for nothing here. One deployment alone that is
/// named by its id becomes a model.
fn known(
    (name, list, path): (&str, &[String], &Path),
    resolves: &Resolves,
    groups: &mut Groups,
    import: &mut Import,
) {
    if name != "*" && !groups.models.contains_key(name) {
        let Some(model) = by_pattern(name, import) else {
            import.report.dropped(path, "is for no model that is here");
            return;
        };
        groups
            .models
            .insert(name.to_owned(), import.draft.models.len());
        import.draft.models.push(model);
    }
    if groups.embeds.contains(name) {
        let why = "configured fallbacks are for chat and completions: for embeddings a client names them in `models`";
        import.report.differs(path, why);
    }
    for next in list {
        if groups.models.contains_key(next) {
            continue;
        }
        if let Some(model) = groups.ids.remove(next) {
            groups
                .models
                .insert(next.clone(), import.draft.models.len());
            import.draft.models.push(model);
        } else if !resolves.has(next) {
            let why = format!("`{}` is no model that is here", shown(next));
            import.report.dropped(path, why);
        }
    }
    if list.len() > MOST {
        let why = format!(
            "names more than {MOST}: a request's list has 16 at the most (`limits.max_candidates`)"
        );
        import.report.dropped(path, why);
    }
}

/// A model that `PROVIDER/*` would serve, so that it can have fallbacks.
fn by_pattern(name: &str, import: &Import) -> Option<Model> {
    let (prefix, rest) = name.split_once('/')?;
    let pattern = format!("{prefix}/*");
    if rest.is_empty() || name.len() > 256 || name.contains(|c: char| c.is_control() || c == '*') {
        return None;
    }
    if !import.patterns.contains(&pattern) {
        return None;
    }
    let mut providers = import.draft.providers.iter();
    let target = Target {
        provider: providers.position(|(name, _)| name == prefix)?,
        upstream_model: Written::literal(rest),
        weight: None,
        price: None,
    };
    Some(Model {
        name: name.to_owned(),
        targets: vec![target],
        fallbacks: Vec::new(),
        timeouts: Timeouts::default(),
        request: Request::default(),
    })
}
