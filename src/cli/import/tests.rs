//! A corpus with what is made of it, seeds over it, and files that are none.
//!
//! `tests/import/litellm/NAME.yaml` is a file of LiteLLM's, `NAME.out` what is
//! made of it, `NAME.txt` what is said. With `BLESS` in the environment the
//! latter two are written anew; read the difference before it is committed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Imported, Refused, litellm};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/litellm")
}

fn corpus() -> Vec<PathBuf> {
    let all = fs::read_dir(folder()).unwrap();
    let all = all.map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = all
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    all.sort();
    assert!(all.len() > 10);
    all
}

fn beside(name: &str) -> io::Result<Vec<u8>> {
    fs::read(folder().join(name))
}

fn nothing(_: &str) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

fn import(text: &str) -> Result<Imported, Refused> {
    litellm("config.yaml", text.as_bytes(), &nothing)
}

fn golden(path: &Path, said: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("BLESS").is_some() {
        if said.is_empty() {
            let _ = fs::remove_file(path);
        } else {
            fs::write(path, said).unwrap();
        }
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if said != expected {
        wrong.push(format!(
            "{}\nexpected:\n{expected}\nsaid:\n{said}",
            path.display()
        ));
    }
}

#[test]
fn the_corpus_becomes_what_is_expected_and_shows_no_secret() {
    let mut wrong = Vec::new();
    for path in corpus() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read(&path).unwrap();
        let (yaml, mut said) = match litellm(name, &text, &beside) {
            Ok(imported) => (imported.yaml, imported.report.join("\n")),
            Err(refused) => {
                assert!(name.starts_with("wrong-"), "{name}: {}", refused.why);
                let mut said = refused.report;
                said.push(refused.why);
                (String::new(), said.join("\n"))
            }
        };
        assert_eq!(yaml.is_empty(), name.starts_with("wrong-"), "{name}");
        said.push('\n');
        assert!(!yaml.contains("Zq9") && !said.contains("Zq9"), "{name}");
        golden(&path.with_extension("out"), &yaml, &mut wrong);
        golden(&path.with_extension("txt"), &said, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every key of the corpus, with its path, is carried over or told: a key that
/// is taken out changes what is made or what is said.
#[test]
fn no_key_is_lost_without_a_word() {
    fn paths(value: &serde_json::Value, at: &str, into: &mut Vec<String>) {
        if let Some(map) = value.as_object() {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                let at = format!("{at}/{key}");
                into.push(at.clone());
                paths(value, &at, into);
            }
        }
        for (nth, value) in value.as_array().into_iter().flatten().enumerate() {
            paths(value, &format!("{at}/{nth}"), into);
        }
    }
    // These are as LiteLLM has them by itself, or stand in one that is told as
    // a whole.
    let silent = [
        "/model_list/0/litellm_params/api_key",
        "/router_settings/routing_strategy",
        "/router_settings/retry_policy/",
        "/router_settings/model_group_alias/hidden-one/hidden",
        "/litellm_settings/cache_params/",
        "/surprise/",
        "/defaults/",
        "/guardrails/0/",
        "/credential_list/0/credential_info/",
        "/litellm_params/litellm_credential_name",
        "azure.yaml/model_list/2/litellm_params/timeout",
        "azure.yaml/model_list/3/litellm_params/order",
        "azure.yaml/model_list/6/litellm_params",
        "local.yaml/model_list/7/litellm_params/input_cost_per_token",
        "routers.yaml/router_settings/max_fallbacks",
        "routers.yaml/litellm_settings/fallbacks/0/small",
    ];
    let mut checked = 0;
    let mut lost = Vec::new();
    for path in corpus() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("wrong-") || name == "elsewhere.yaml" || name == "including.yaml" {
            continue;
        }
        let text = fs::read(&path).unwrap();
        let root = crate::config::foreign(name, &text).unwrap();
        let said = |root: &serde_json::Value| {
            let text = serde_json::to_vec(root).unwrap();
            litellm(name, &text, &nothing)
                .map(|imported| imported.yaml)
                .ok()
        };
        let whole = said(&root);
        assert!(whole.is_some(), "{name}");
        let mut all = Vec::new();
        paths(&root, "", &mut all);
        for path in all {
            let Some((parent, key)) = path.rsplit_once('/') else {
                continue;
            };
            let mut less = root.clone();
            let parent = less.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
            let path = format!("{name}{path}");
            if silent.iter().any(|known| path.contains(known)) {
                continue;
            }
            checked += 1;
            if said(&less) == whole {
                lost.push(path);
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(checked > 150, "{checked}");
}

/// A small generator, so that a failure can be had again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }
}

/// Puts a piece of one text, or a word that means something, into another.
fn mutate(text: &mut String, other: &str, random: &mut Random) {
    const WORDS: [&str; 24] = [
        "os.environ/X",
        "os.environ/",
        "openai/",
        "azure/",
        "*",
        "openai/*",
        "null",
        "true",
        "-1",
        "1e400",
        "0",
        "[]",
        "{}",
        "\"\"",
        "\"${X}\"",
        "\"\\u0085\\u2028\\ufeff\"",
        "models",
        "<<",
        "\"a\\tb\"",
        ".inf",
        "'é'",
        "\n    ",
        ": ",
        "- ",
    ];
    let boundary = |text: &str, mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let values: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
    match random.below(4) {
        // Another value.
        0 | 1 if !values.is_empty() => {
            let at = values[random.below(values.len())];
            let end = text[at..].find(['\n', ',', '}', ']']);
            let end = end.map_or(text.len(), |end| at + end);
            let word = WORDS[random.below(WORDS.len())];
            text.replace_range(at..end, word);
        }
        2 => {
            let lines: Vec<&str> = other.lines().collect();
            let line = lines[random.below(lines.len())].to_owned() + "\n";
            let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
            let at = ends.get(random.below(ends.len())).copied().unwrap_or(0);
            text.insert_str(at, &line);
        }
        _ => {
            let at = boundary(text, random.below(text.len() + 1));
            let end = boundary(text, (at + random.below(12)).min(text.len()));
            let word = WORDS[random.below(WORDS.len())];
            text.replace_range(at..end, word);
        }
    }
}

#[test]
fn whatever_the_file_what_comes_of_it_loads() {
    let texts: Vec<String> = corpus()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .filter(|text| text.len() > 100)
        .collect();
    let rounds = std::env::var("ROUNDS").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    let mut made = 0;
    for seed in 1..=rounds.unwrap_or(1000) {
        let mut random = Random(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15) | 1);
        let mut text = texts[random.below(texts.len())].clone();
        let other = &texts[random.below(texts.len())];
        for _ in 0..=random.below(5) {
            mutate(&mut text, other, &mut random);
        }
        match import(&text) {
            Ok(imported) => {
                made += 1;
                assert!(imported.yaml.contains("\nproviders:\n"), "seed {seed}");
            }
            Err(refused) => {
                let why = refused.why;
                assert!(
                    !why.is_empty() && !why.contains("a mistake of the import"),
                    "seed {seed}: {why}\n{text}"
                );
            }
        }
    }
    assert!(made > rounds.unwrap_or(1000) / 10, "{made}");
}

#[test]
fn what_is_no_file_of_litellm_s_is_refused_in_words_and_in_time() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..30 {
        let before = format!("*a{}, ", at - 1).repeat(10);
        laughs.push_str(&format!("a{at}: &a{at} [{before}]\n"));
    }
    let deep = format!("model_list: {}", "[".repeat(5000));
    let large = "x".repeat((4 << 20) + 1);
    for (text, why) in [
        ("\u{0}", "control character"),
        ("model_list: [{model_name: !x a}]", "tags"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("include: 4\nmodel_list: []\n", "`include` is no list"),
        ("include: [[]]\nmodel_list: []\n", "`include` is no list"),
        (&laughs, "more than"),
        (&deep, "not valid YAML"),
        (&large, "larger than 4 MiB"),
    ] {
        let refused = import(text).unwrap_err();
        assert!(refused.why.contains(why), "{}", refused.why);
    }
    let not_utf8 = litellm("config.yaml", b"model_list: \xff", &nothing);
    assert!(not_utf8.unwrap_err().why.contains("UTF-8"));
}

#[test]
fn a_file_of_thousands_of_models_is_carried_over() {
    let mut text = "model_list:\n".to_owned();
    for at in 0..3000 {
        text += &format!(
            "  - {{model_name: m{}, litellm_params: {{model: openai/x{at}, api_key: key{at}}}}}\n",
            at / 2
        );
    }
    text += "litellm_settings:\n  default_fallbacks: [m1, m2, m3]\n";
    let imported = import(&text).unwrap();
    assert_eq!(imported.yaml.matches("    targets:").count(), 1500);
    assert_eq!(imported.yaml.matches("    fallbacks:").count(), 1500);
}

#[test]
fn included_files_may_include_each_other_and_themselves() {
    let files = |name: &str| -> io::Result<Vec<u8>> {
        let model = |name: &str| {
            format!(
                "model_list: [{{model_name: {name}, litellm_params: {{model: openai/{name}}}}}]\n"
            )
        };
        match name {
            "a" => Ok(format!("include: [b, a]\n{}", model("a")).into_bytes()),
            "b" => Ok(format!("include: [a]\n{}", model("b")).into_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    };
    let imported = litellm("x", b"include: [a]", &files).unwrap();
    assert!(imported.yaml.contains("\n  a:\n") && imported.yaml.contains("\n  b:\n"));
    let refused = litellm("x", b"include: [c]", &files).unwrap_err();
    assert!(refused.why.contains("include c"), "{}", refused.why);
}
