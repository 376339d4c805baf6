//! Deployments of one name → a model with its targets; patterns; aliases.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Import;
use super::deployment::Deployment;
use super::settings::Settings;
use crate::cli::import::draft::{Model, Request, Target, Timeouts};
use crate::cli::import::report::{Path, shown};

/// What there is to fall back from and to.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// A model's place in the draft, by its name.
    pub(super) models: HashMap<String, usize>,
    /// Single deployments, by `model_info.id`.
    pub(super) ids: HashMap<String, Model>,
    /// Another name → the name that it stands for.
    pub(super) aliases: HashMap<String, String>,
    /// Models of which some deployment is for embeddings.
    pub(super) embeds: HashSet<String>,
}

/// The heaviest that a target may be.
const HEAVIEST: f64 = 1_000_000.0;

/// Nearly equal weights: equal ones would mean `in this order`.
const EVEN: u32 = 1000;

/// Targets of one model.
const MOST: usize = 1000;

pub(super) fn groups(
    deployments: Vec<Deployment>,
    settings: &mut Settings,
    import: &mut Import,
) -> Groups {
    let (patterns, named): (Vec<_>, Vec<_>) = deployments
        .into_iter()
        .partition(|deployment| deployment.group.contains('*'));
    // First, since they need a provider of just their name.
    for deployment in patterns {
        pattern(deployment, import);
    }
    let mut order: Vec<String> = Vec::new();
    let mut by_name: HashMap<String, Vec<Deployment>> = HashMap::new();
    for deployment in named {
        let group = by_name.entry(deployment.group.clone()).or_default();
        if group.is_empty() {
            order.push(deployment.group.clone());
        }
        group.push(deployment);
    }
    let mut groups = Groups::default();
    for name in order {
        let Some(deployments) = by_name.remove(&name) else {
            continue;
        };
        for one in &deployments {
            if one.embeds {
                groups.embeds.insert(name.clone());
            }
            if let Some(id) = &one.id {
                let target = target(one, import);
                let model = model(id, vec![target], &[one]);
                groups.ids.entry(id.clone()).or_insert(model);
            }
        }
        let model = group(&name, deployments, import);
        groups.models.insert(name, import.draft.models.len());
        import.draft.models.push(model);
    }
    aliases(&mut groups, settings, import);
    groups
}

/// `openai/*` is a provider of that name, `*` the default provider.
fn pattern(one: Deployment, import: &mut Import) {
    let path = one.path.at("model_name");
    let upstream_is_open = one.upstream_model.0 == "*";
    let prefix = one.group.strip_suffix("/*");
    let done = match prefix {
        _ if !upstream_is_open => None,
        _ if one.group == "*" && import.draft.default_provider.is_none() => {
            let at = import.provider(one.provider, one.place.clone());
            import.draft.default_provider = Some(at);
            let why = "is the `default_provider`, where every name goes that no model and no provider has";
            import.report.differs(&path, why);
            Some(at)
        }
        Some(prefix) if !prefix.contains(['*', '/']) => {
            let at = import.provider_named(prefix, &one.place);
            import.patterns.extend(at.map(|_| one.group.clone()));
            at
        }
        _ => None,
    };
    if done.is_none() {
        let why = format!(
            "the pattern `{}`: Standin knows `PROVIDER/*` to `PROVIDER/*`, and one `*` for all other names",
            shown(&one.group)
        );
        import.report.dropped(&path, why);
        return;
    }
    let mut bare = one.timeouts != Timeouts::default();
    bare |= one.price.is_some() || !one.drop.is_empty() || !one.set.is_empty();
    if bare {
        let why = "timeouts, prices and parameters of a pattern: name the models that need them under `models`";
        import.report.dropped(&one.path.at("litellm_params"), why);
    }
}

fn target(one: &Deployment, import: &mut Import) -> Target {
    Target {
        provider: import.provider(one.provider, one.place.clone()),
        upstream_model: one.upstream_model.clone(),
        weight: None,
        price: one.price.clone(),
    }
}

fn model(name: &str, targets: Vec<Target>, of: &[&Deployment]) -> Model {
    let longest = |pick: fn(&Deployment) -> Option<f64>| {
        let all: Option<Vec<f64>> = of.iter().map(|one| pick(one)).collect();
        all.and_then(|all| all.into_iter().reduce(f64::max))
    };
    let first = of.first();
    Model {
        name: name.to_owned(),
        targets,
        fallbacks: Vec::new(),
        timeouts: Timeouts {
            first_token: longest(|one| one.timeouts.first_token),
            answer: longest(|one| one.timeouts.answer),
            total: None,
        },
        request: Request {
            drop: first.map(|one| one.drop.clone()).unwrap_or_default(),
            rename: Vec::new(),
            set: first
                .map(|one| one.set.clone().into_iter().collect())
                .unwrap_or_default(),
        },
    }
}

fn group(name: &str, mut deployments: Vec<Deployment>, import: &mut Import) -> Model {
    let ordered = deployments.iter().any(|one| one.order.is_some());
    if ordered {
        let order = |one: &Deployment| one.order.unwrap_or(f64::INFINITY);
        deployments.sort_by(|a, b| order(a).total_cmp(&order(b)));
    }
    let mut targets: Vec<Target> = Vec::new();
    let mut kept: Vec<(Deployment, f64)> = Vec::new();
    let by = weighed_by(&deployments);
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    for one in deployments {
        let weight = by.map_or(1.0, |by| {
            one.weights.get(by).copied().flatten().unwrap_or(0.0)
        });
        let target = target(&one, import);
        let pair = (target.provider, target.upstream_model.0.clone());
        if let Some((_, sum)) = seen.get(&pair).and_then(|at| kept.get_mut(*at)) {
            *sum += weight;
            let why = "the same place, key and model as an entry before it: one target, with what that one says";
            import.report.differs(&one.path, why);
            continue;
        }
        if targets.len() == MOST {
            let why = "the whole entry: a model has up to 1000 targets";
            import.report.dropped(&one.path, why);
            continue;
        }
        seen.insert(pair, targets.len());
        targets.push(target);
        kept.push((one, weight));
    }
    if targets.len() > 1 && !ordered {
        let weights: Vec<f64> = kept.iter().map(|(_, weight)| *weight).collect();
        for (target, weight) in targets.iter_mut().zip(scaled(&weights)) {
            target.weight = Some(weight);
        }
    }
    say_weights(&kept, by, ordered, import);
    say_limits(&kept, import);
    let of: Vec<&Deployment> = kept.iter().map(|(one, _)| one).collect();
    model(name, targets, &of)
}

/// Which of `weight`, `rpm` and `tpm` LiteLLM's simple-shuffle draws by: the
/// first of which any deployment has more than nothing.
fn weighed_by(deployments: &[Deployment]) -> Option<usize> {
    (0..3).find(|by| {
        let mut all = deployments.iter().filter_map(|one| *one.weights.get(*by)?);
        all.any(|weight| weight > 0.0)
    })
}

/// Whole numbers from 1 up, of which not all are equal.
fn scaled(weights: &[f64]) -> Vec<u32> {
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    let whole = |weight: f64| weight.fract() == 0.0 && weight >= 1.0;
    let scale = if heaviest <= 0.0 {
        0.0
    } else if heaviest <= HEAVIEST && weights.iter().copied().all(whole) {
        1.0
    } else {
        HEAVIEST / heaviest
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the heaviest"
    )]
    let mut out: Vec<u32> = weights
        .iter()
        .map(|weight| (weight * scale).round().clamp(1.0, HEAVIEST) as u32)
        .collect();
    if out.windows(2).all(|pair| pair.first() == pair.last()) {
        out.fill(EVEN);
        if let Some(last) = out.last_mut() {
            *last = EVEN + 1;
        }
    }
    out
}

fn say_weights(kept: &[(Deployment, f64)], by: Option<usize>, ordered: bool, import: &mut Import) {
    let single = kept.len() < 2;
    for (one, weight) in kept {
        let params = one.path.at("litellm_params");
        let mut orders = kept.iter().filter(|(other, _)| other.order == one.order);
        if ordered && !single && orders.nth(1).is_some() {
            let why = "the same `order` as another's: Standin tries them in the order of the file";
            import.report.differs(&params.at("order"), why);
        }
        for (at, key) in ["weight", "rpm", "tpm"].into_iter().enumerate() {
            if one.weights.get(at).copied().flatten().is_none() {
                continue;
            }
            let path = params.at(key);
            if by == Some(at) && !ordered && !single {
                if at > 0 {
                    let why = "is a weight, as LiteLLM's simple-shuffle has it; how much a provider takes is told by its 429s and quota headers";
                    import.report.differs(&path, why);
                } else if *weight <= 0.0 {
                    import
                        .report
                        .differs(&path, "0 is the smallest weight there is");
                }
            } else if at == 0 {
                let why = "has no effect where there is one target, or an `order`";
                import.report.dropped(&path, why);
            } else {
                let why = "Standin does not count what a provider may take; it goes by the provider's 429s and quota headers. For clients there are `requests_per_minute` and `tokens_per_minute` under `keys`";
                import.report.dropped(&path, why);
            }
        }
    }
    if by.is_none() && !ordered && !single {
        let why = "drawn at random as in LiteLLM: weights are nearly equal, since equal ones mean `in this order`";
        for (one, _) in kept {
            import.report.differs(&one.path, why);
        }
    }
}

/// Timeouts and parameters belong to a model, not to one of its targets.
fn say_limits(kept: &[(Deployment, f64)], import: &mut Import) {
    let Some((first, _)) = kept.first() else {
        return;
    };
    for (one, _) in kept {
        let params = one.path.at("litellm_params");
        if kept.iter().any(|(other, _)| other.timeouts != one.timeouts) {
            let why = "timeouts are a model's, not a target's: the longest holds for all of this name, the usual one where not all have one";
            import.report.differs(&params.at("timeout"), why);
        }
        for (key, differs) in [
            ("additional_drop_params", one.drop != first.drop),
            ("extra_body", one.set != first.set),
        ] {
            if differs {
                let why = "is a model's, not a target's: that of the first entry of this name holds for all";
                import.report.differs(&params.at(key), why);
            }
        }
    }
}

/// `model_group_alias`: more names for a model.
fn aliases(groups: &mut Groups, settings: &mut Settings, import: &mut Import) {
    for (alias, value, path) in settings.aliases(&mut import.report) {
        let meant = match value {
            Value::String(name) => Some(name),
            Value::Object(mut entry) => {
                if entry.shift_remove("hidden") == Some(Value::Bool(true)) {
                    let why = "`GET /v1/models` lists every model";
                    import.report.dropped(&path.at("hidden"), why);
                }
                match entry.shift_remove("model") {
                    Some(Value::String(name)) => Some(name),
                    _ => None,
                }
            }
            Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) => None,
        };
        alias_of(groups, &alias, meant, &path, import);
    }
}

fn alias_of(
    groups: &mut Groups,
    alias: &str,
    meant: Option<String>,
    path: &Path,
    import: &mut Import,
) {
    let at = meant
        .as_ref()
        .and_then(|name| groups.models.get(name))
        .copied();
    let model = at.and_then(|at| import.draft.models.get(at)).cloned();
    let why = match (model, meant) {
        _ if alias.is_empty() || alias.len() > 256 || alias.contains(char::is_control) => {
            "cannot name a model"
        }
        _ if groups.models.contains_key(alias) => "there is a model of this name, which holds",
        (Some(mut model), Some(meant)) => {
            alias.clone_into(&mut model.name);
            groups
                .models
                .insert(alias.to_owned(), import.draft.models.len());
            groups.aliases.insert(alias.to_owned(), meant);
            import.draft.models.push(model);
            return;
        }
        (None, _) | (_, None) => "stands for no model that is here",
    };
    import.report.dropped(path, why);
}
