//! `standin import`: other gateways' configurations → one of Standin's on
//! standard output, and a word on standard error about all that is otherwise.

mod draft;
mod litellm;
mod report;
mod section;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use self::draft::{Draft, Holds, Request};
use self::report::{Fate, Report};
use super::{Failed, print};
use crate::base::ModelName;
use crate::config::{Config, Surroundings, foreign, load};

/// Whose configuration is read.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// LiteLLM's config.yaml
    Litellm {
        /// The file; what it includes is read too
        file: PathBuf,
    },
}

/// One byte more than any configuration has, so that a larger one is told.
const MOST: u64 = (4 << 20) + 1;

/// Files that one file includes, theirs among them.
const INCLUDES: usize = 100;

/// What came of a file.
#[derive(Debug)]
pub(crate) struct Imported {
    /// A configuration that loads where the variables of its head are set.
    pub(crate) yaml: String,
    /// What is to say of it, one line for each path.
    pub(crate) report: Vec<String>,
}

/// Nothing came of a file: why, after what is to say of it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) why: String,
    pub(crate) report: Vec<String>,
}

pub(super) fn run(import: Import) -> Result<(), Failed> {
    let Import::Litellm { file } = import;
    let name = file.display().to_string();
    let text = read(&file).map_err(|error| Failed::Configuration(format!("{name}: {error}")))?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let beside = |include: &str| read(&folder.join(include));
    match litellm(&name, &text, &beside) {
        Ok(imported) => {
            tell(&imported.report);
            print(&imported.yaml)
        }
        Err(refused) => {
            tell(&refused.report);
            Err(Failed::Configuration(refused.why))
        }
    }
}

fn tell(lines: &[String]) {
    let mut out = io::stderr().lock();
    for line in lines {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(out, "{line}");
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Converts LiteLLM's configuration; `beside` reads what it includes.
pub(crate) fn litellm(
    name: &str,
    text: &[u8],
    beside: &dyn Fn(&str) -> io::Result<Vec<u8>>,
) -> Result<Imported, Refused> {
    let refused = |why: String, report: &Report| Refused {
        why: format!("{name}: {why}"),
        report: lines(report, name),
    };
    let bare = |why: String| Refused {
        why,
        report: Vec::new(),
    };
    let root = foreign(name, text).map_err(|problems| bare(problems.to_string()))?;
    let root = with_includes(name, root, beside).map_err(bare)?;
    let mut import = litellm::Import::default();
    let read = import.read(root);
    let (mut draft, mut report) = (import.draft, import.report);
    read.map_err(|why| refused(why, &report))?;
    draft.listen = Some("127.0.0.1:4000");
    if let Err(why) = requests(&mut draft, &mut report) {
        return Err(refused(why, &report));
    }
    draft.head = head(name, &draft, &report);
    let yaml = draft.yaml();
    match check(&draft, &yaml) {
        Ok(_) => Ok(Imported {
            yaml,
            report: lines(&report, name),
        }),
        Err(why) => Err(refused(why, &report)),
    }
}

/// Takes in what a file includes, as LiteLLM does: lists grow, all else is
/// replaced.
fn with_includes(
    name: &str,
    mut root: Value,
    beside: &dyn Fn(&str) -> io::Result<Vec<u8>>,
) -> Result<Value, String> {
    let Some(map) = root.as_object_mut() else {
        return Ok(root);
    };
    let mut waiting = match map.shift_remove("include") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(files)) => files,
        Some(_) => return Err(format!("{name}: `include` is no list of files")),
    };
    let mut seen = HashSet::new();
    let mut at = 0;
    while let Some(file) = waiting.get(at).cloned() {
        at += 1;
        let Value::String(file) = file else {
            return Err(format!("{name}: `include` is no list of files"));
        };
        if !seen.insert(file.clone()) {
            continue;
        }
        if seen.len() > INCLUDES {
            return Err(format!("{name}: more than {INCLUDES} files are included"));
        }
        let shown = report::shown(&file);
        let text = beside(&file).map_err(|error| format!("{name}: include {shown}: {error}"))?;
        let more = foreign(&shown, &text).map_err(|problems| problems.to_string())?;
        let Value::Object(more) = more else {
            return Err(format!("{name}: include {shown}: is no mapping"));
        };
        for (key, value) in more {
            match (value, map.get_mut(&key)) {
                (Value::Array(files), _) if key == "include" => waiting.extend(files),
                (Value::Array(more), Some(Value::Array(list))) => list.extend(more),
                (value, _) => {
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(root)
}

/// A model's own wishes stand instead of the catalogue's for it: joins the two.
fn requests(draft: &mut Draft, report: &mut Report) -> Result<(), String> {
    for model in &mut draft.models {
        wishes(&mut model.request, &model.name, report);
    }
    if draft.models.iter().all(|model| model.request.is_empty()) {
        return Ok(());
    }
    let wishes: Vec<Request> = draft
        .models
        .iter_mut()
        .map(|model| std::mem::take(&mut model.request))
        .collect();
    let config = check(draft, &draft.yaml())?;
    for (model, mut own) in draft.models.iter_mut().zip(wishes) {
        if own.is_empty() {
            continue;
        }
        let known = config.models.get(&ModelName::from(model.name.as_str()));
        let mut edits = known
            .iter()
            .flat_map(|known| &known.targets)
            .map(|t| &t.edits);
        let first = edits.next();
        if edits.any(|other| Some(other) != first) {
            let why = "from `additional_drop_params` and `extra_body`: the built-in rules for this model's targets differ, and `request` would stand instead of all of them: write it in by hand";
            let path = report::Path::whole()
                .at("models")
                .at(&model.name)
                .at("request");
            report.dropped(&path, why);
            continue;
        }
        if let Some(edits) = first {
            for name in &edits.drop {
                if !own.drop.iter().any(|other| **other == **name) {
                    own.drop.push(name.to_string());
                }
            }
            for (old, new) in &edits.rename {
                if !own.drop.iter().any(|name| **name == **old) {
                    own.rename.push((old.to_string(), new.to_string()));
                }
            }
        }
        model.request = own;
    }
    Ok(())
}

/// Leaves out what cannot stand in `request`, and says so.
fn wishes(request: &mut Request, model: &str, report: &mut Report) {
    let ours = ["model", "models", "stream"];
    let path = report::Path::whole().at("models").at(model).at("request");
    let mut seen = HashSet::new();
    request.drop.retain(|name| {
        let good = !name.trim().is_empty()
            && !ours.contains(&name.as_str())
            && !name.contains(['.', '[']);
        if !good {
            let why = "only whole members of a request can be left out, and not `model`, `models` or `stream`";
            report.dropped(&path.at("drop").at(name), why);
        }
        good && seen.insert(name.clone())
    });
    request.set.retain(|(name, _)| {
        let good = !name.trim().is_empty() && !ours.contains(&name.as_str());
        if !good {
            let why = "`model`, `models` and `stream` are not set";
            report.dropped(&path.at("set").at(name), why);
        }
        good
    });
    if request.drop.len() > 900 || request.set.len() > 900 {
        report.dropped(&path, "has more members than any request");
        *request = Request::default();
    }
}

/// Values that let a configuration be checked before its variables are set.
struct Empty<'a>(&'a BTreeMap<String, Holds>);

impl Surroundings for Empty<'_> {
    fn var(&self, name: &str) -> Option<String> {
        let value = match self.0.get(name)? {
            Holds::Address => "https://variable.invalid",
            Holds::Digest => "77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e",
            Holds::Text => "value",
            Holds::Version => "2024-10-21",
        };
        Some(value.to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn check(draft: &Draft, yaml: &str) -> Result<Config, String> {
    let config = load("", yaml.as_bytes(), &Empty(&draft.variables));
    config.map_err(|problems| {
        let first = problems.all.first();
        let why = first.map_or_else(String::new, ToString::to_string);
        format!("what comes of it does not load, which is a mistake of the import, or it is too large: {why}")
    })
}

/// What is said on standard error.
fn lines(report: &Report, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for fate in Fate::ALL {
        let all = report.of(fate);
        lines.extend(all.map(|line| format!("{name}: {}: {line}", fate.word())));
    }
    lines
}

/// What stands at the top of the configuration.
fn head(name: &str, draft: &Draft, report: &Report) -> Vec<String> {
    let file = Path::new(name).file_name().and_then(|name| name.to_str());
    let mut head = vec![
        format!(
            "Made from LiteLLM's {} by `standin import litellm`.",
            report::shown(file.unwrap_or_default())
        ),
        String::new(),
        "Clients: the base URL ends in `/v1` here, and what they sent as `fallbacks` is".to_owned(),
        "called `models`. LiteLLM listens on 0.0.0.0:4000, this on loopback: set `listen`."
            .to_owned(),
        "Where no timeout is written, Standin's hold, which are shorter than LiteLLM's.".to_owned(),
        "A client may also ask for `PROVIDER/anything`, unless its key says otherwise.".to_owned(),
    ];
    if !draft.variables.is_empty() {
        head.push(String::new());
        head.push("Variables that have to be set:".to_owned());
        head.extend(draft.variables.keys().map(|name| format!("  {name}")));
    }
    for (fate, title) in [
        (Fate::Differs, "Works otherwise, or needs a hand:"),
        (Fate::Dropped, "Not carried over:"),
        (Fate::Idle, "Without meaning here:"),
    ] {
        let mut lines = report.of(fate).peekable();
        if lines.peek().is_some() {
            head.push(String::new());
            head.push(title.to_owned());
        }
        head.extend(lines.map(|line| format!("  {line}")));
    }
    head
}
