//! What `standin check` says: one golden pair for each kind of mistake, and
//! everything under `conf/`.
//!
//! `tests/check/NAME.yaml` is a configuration, `NAME.txt` what is said of it:
//! its problems, or `fine`. With `BLESS` set in the environment the expected
//! texts are written anew; read the difference before it is committed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use standin::config::{Config, Problems, Surroundings, builtin, load, schema};

/// The value of every variable that holds a credential; no message may have
/// any part of it.
const SECRET: &str = "sk-Zq9-never-shown";

/// Variables and files as the golden pairs find them.
#[derive(Default)]
struct House {
    vars: BTreeMap<&'static str, String>,
}

impl House {
    fn furnished() -> Self {
        Self::with(SECRET)
    }

    fn with(secret: &str) -> Self {
        let mut house = Self::default();
        for name in [
            "OPENAI_API_KEY",
            "GEMINI_API_KEY",
            "AZURE_OPENAI_API_KEY",
            "STANDIN_ADMIN_TOKEN",
            "KEY",
        ] {
            house.vars.insert(name, secret.to_owned());
        }
        for (name, value) in [
            ("EMPTY", ""),
            ("TWO_LINES", "sk-Zq9-never-shown\nsk-Zq9-never-shown"),
            ("YAML", "[sk-Zq9-never-shown, {a: b}] # ${KEY}"),
            ("FOUR", "4"),
            ("PORT", "8081"),
        ] {
            house.vars.insert(name, value.to_owned());
        }
        house
    }
}

impl Surroundings for House {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("keys/good") => Ok(format!("{SECRET}\n").into_bytes()),
            Some("keys/empty") => Ok(b"\n".to_vec()),
            Some("keys/two-lines") => Ok(format!("{SECRET}\n{SECRET}\n").into_bytes()),
            Some("keys/binary") => Ok(vec![0xff, 0xfe]),
            Some("keys/huge") => Ok(vec![b'x'; 1 << 20]),
            Some("keys/private") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("tls/tls.crt" | "tls/ca.crt") => Ok(PAIRS[0].0.clone().into_bytes()),
            Some("tls/tls.key") => Ok(PAIRS[0].1.clone().into_bytes()),
            Some("tls/other.key") => Ok(PAIRS[1].1.clone().into_bytes()),
            Some("tls/broken.crt") => Ok(PAIRS[0].0.replace('A', "*").into_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Certificates and their keys, in PEM.
static PAIRS: LazyLock<[(String, String); 2]> = LazyLock::new(|| {
    [(), ()].map(|()| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]);
        let certificate = params.expect("a name").self_signed(&key);
        (
            certificate.expect("it signs itself").pem(),
            key.serialize_pem(),
        )
    })
});

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are files in {folder}");
    files
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a name in UTF-8")
        .to_owned()
}

fn said(result: &Result<Config, Problems>) -> String {
    match result {
        Ok(_) => "fine\n".to_owned(),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in files("tests/check", "yaml") {
        let text = fs::read(&path).unwrap();
        let said = said(&load(&name_of(&path), &text, &House::furnished()));
        assert!(
            !said.contains("Zq9"),
            "{} shows a secret:\n{said}",
            path.display()
        );
        let golden = path.with_extension("txt");
        if bless {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            wrong.push(format!(
                "{}\nexpected:\n{expected}said:\n{said}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_expected_text_is_left_over() {
    for path in files("tests/check", "txt") {
        assert!(path.with_extension("yaml").exists(), "{}", path.display());
    }
}

#[test]
fn what_is_shipped_passes() {
    for path in files("conf", "yaml") {
        if ["catalogue.yaml", "prices.yaml"].contains(&name_of(&path).as_str()) {
            // Not configurations, but the program's own; the units' tests read them.
            continue;
        }
        let text = fs::read(&path).unwrap();
        assert_eq!(
            said(&load(&name_of(&path), &text, &House::furnished())),
            "fine\n"
        );
    }
}

#[test]
fn the_catalogue_enables_every_provider_by_its_variables() {
    let catalogue = fs::read_to_string(root().join("conf/catalogue.yaml")).unwrap();
    let mut house = House::default();
    for name in [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GOOGLE_API_KEY",
        "GROQ_API_KEY",
        "MISTRAL_API_KEY",
        "DEEPSEEK_API_KEY",
        "TOGETHER_API_KEY",
        "FIREWORKS_API_KEY",
        "XAI_API_KEY",
        "OPENROUTER_API_KEY",
        "CEREBRAS_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "VLLM_API_KEY",
    ] {
        assert!(catalogue.contains(name), "{name}");
        house.vars.insert(name, SECRET.to_owned());
    }
    house.vars.insert(
        "AZURE_OPENAI_ENDPOINT",
        "https://east.openai.azure.com/".to_owned(),
    );
    house
        .vars
        .insert("OPENAI_API_VERSION", "2024-10-21".to_owned());
    house.vars.insert("OLLAMA_HOST", "0.0.0.0".to_owned());
    let config = builtin(&house).unwrap();
    let names: Vec<&str> = config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "openai",
            "anthropic",
            "google",
            "groq",
            "mistral",
            "deepseek",
            "together",
            "fireworks",
            "xai",
            "openrouter",
            "cerebras",
            "azure",
            "ollama",
            "vllm"
        ]
    );
    let in_file = catalogue
        .lines()
        .filter(|line| line.starts_with("  ") && line.ends_with(':') && !line.starts_with("   "));
    assert_eq!(in_file.count(), names.len());
}

#[test]
fn the_committed_schema_is_the_program_s() {
    let path = root().join("conf/schema.json");
    let schema = format!("{:#}\n", schema());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), schema);
}

/// A small generator, so that a failure can be had again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One change: bytes, a token of YAML, a line, or a piece of another file.
fn mutate(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TOKENS: [&str; 28] = [
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "|\n",
        ">-\n",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "${KEY}",
        "${",
        "$${",
        "<<: *a\n",
        "\t",
        "%YAML 1.2\n",
        "\u{feff}",
        ",",
        "\\u00",
        "\r\n",
    ];
    let at = random.below(text.len() + 1);
    match random.below(7) {
        0 => {
            if at < text.len() {
                text[at] = random.next() as u8;
            }
        }
        1 => {
            text.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes());
        }
        2 => {
            let end = (at + random.below(20)).min(text.len());
            text.drain(at..end);
        }
        3 => {
            let from = random.below(other.len());
            let to = (from + random.below(200)).min(other.len());
            text.splice(at..at, other[from..to].iter().copied());
        }
        4 => {
            let end = (at + random.below(100)).min(text.len());
            let again = text[at..end].repeat(1 + random.below(4));
            text.splice(at..at, again);
        }
        5 => text.truncate(at),
        _ => {
            let token = TOKENS[random.below(TOKENS.len())].repeat(1 + random.below(80));
            text.splice(at..at, token.bytes());
        }
    }
}

/// What this thread has worked, however busy the machine is.
fn worked() -> Duration {
    let worked = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .expect("threads have a clock");
    Duration::from(worked)
}

/// Loads what may be anything. It takes a second's work at the most; what grew
/// with the square of a file's size would take minutes.
fn survives(text: &[u8], seed: u64) {
    let began = worked();
    let result = load(
        "mutated.yaml",
        text,
        &House::with("only-in-the-environment"),
    );
    let said = said(&result);
    assert!(
        !said.contains("only-in-the"),
        "seed {seed} shows a secret:\n{said}"
    );
    if let Err(problems) = &result {
        assert!(!problems.all.is_empty(), "seed {seed}");
        assert!(problems.all.is_sorted(), "seed {seed}");
        assert!(
            problems
                .all
                .iter()
                .all(|problem| problem.line > 0 && problem.col > 0),
            "seed {seed}"
        );
    }
    let took = worked() - began;
    assert!(took < Duration::from_secs(20), "seed {seed} took {took:?}");
}

#[test]
fn no_file_makes_it_panic_hang_or_tell_a_secret() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for folder in ["tests/check", "conf"] {
        seeds.extend(
            files(folder, "yaml")
                .iter()
                .map(|path| fs::read(path).unwrap()),
        );
    }
    // Credentials written in a file may turn into keys, which are shown; the
    // environment's never may.
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    for seed in 1..=rounds.unwrap_or(4000) {
        let mut random = Random(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15) | 1);
        let mut text = seeds[random.below(seeds.len())].clone();
        let other = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            mutate(&mut text, &other, &mut random);
        }
        survives(&text, seed);
        standin::fuzzing::config(&text);
    }
}

#[test]
fn ten_thousand_models_are_a_configuration() {
    let mut text = "providers: {p: {base_url: 'http://x'}}\nmodels:\n".to_owned();
    for at in 0..10_000 {
        text.push_str(&format!(
            "  house/m{at}:
    targets:
      - {{ provider: p, upstream_model: up-{at}, weight: 3 }}
      - {{ provider: p, upstream_model: spare-{at}, weight: 1 }}
    fallbacks: [p/one, p/two]
    request: {{ drop: [seed{at}], rename: {{ a: b }}, set: {{ store: false }} }}
    timeouts: {{ first_token: 5m, idle: 30s }}
"
        ));
    }
    let config = load("many.yaml", text.as_bytes(), &House::default());
    assert_eq!(said(&config), "fine\n");
    assert_eq!(config.unwrap().models.len(), 10_000);
}

#[test]
fn the_largest_files_are_refused_in_time() {
    // What is slow at a quarter of the largest size is slow.
    let full = 1 << 20;
    let repeated = |unit: &str| unit.repeat(full / unit.len());
    let mut deep = String::new();
    for depth in 0..2000 {
        deep.push_str(&" ".repeat(depth));
        deep.push_str("a:\n");
    }
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..30 {
        let before = format!("*a{}, ", at - 1).repeat(10);
        laughs.push_str(&format!("a{at}: &a{at} [{before}]\n"));
    }
    let anchors: String = (0..40).map(|at| format!("&a{at} [")).collect();
    let models: String = (0..9000)
        .map(|at| format!("  m{at}: {{provider: p, fallbacks: [x{at}]}}\n"))
        .collect();
    let models = format!("providers: {{p: {{base_url: http://x}}}}\nmodels:\n{models}");
    let big = format!(
        "a: &a \"{}\"\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(700_000)
    );
    let variables = format!("admin_token: \"{}\"", "${KEY}".repeat(690_000));
    let many: String = (0..200_000).map(|at| format!("k{at}: 1\n")).collect();
    for (at, text) in [
        repeated("["),
        repeated("{"),
        repeated("- "),
        repeated("? "),
        repeated("a: "),
        repeated("[]"),
        repeated("x\n"),
        repeated("- x\n"),
        repeated("a\n\n"),
        repeated("\"\n"),
        repeated("&a "),
        repeated("!a "),
        repeated("# \n"),
        repeated("%a\n"),
        repeated("---\n"),
        repeated("\t"),
        repeated("[a, "),
        repeated("{a: "),
        repeated("{a: b, "),
        repeated("'"),
        repeated("|\n"),
        format!("a: {}", repeated("x ")),
        format!("a: |\n{}", repeated(" x\n")),
        format!("{}: 1", "k".repeat(full - 10)),
        format!("[{}]", "a: b, ".repeat(600_000)),
        format!("[{}", "x, ".repeat(99_000)),
        deep,
        laughs,
        format!("{anchors}{}", "x, ".repeat(99_000)),
        models,
        big,
        variables,
        many,
        "x".repeat((4 << 20) + 1),
    ]
    .iter()
    .enumerate()
    {
        survives(text.as_bytes(), at as u64);
    }
}
