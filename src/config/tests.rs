//! What a configuration means, and that its tables hold together.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{CATALOGUE, Form, PRICES, ROOT, Section};
use super::problem::Found;
use super::*;
use crate::base::ModelName;
use crate::dialect::Kind;
use crate::outcome::Outcome;
use crate::wire::Edits;

#[derive(Default)]
struct House(BTreeMap<&'static str, &'static str>);

impl Surroundings for House {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn house(vars: &[(&'static str, &'static str)]) -> House {
    House(vars.iter().copied().collect())
}

fn read(text: &str) -> Config {
    load("t.yaml", text.as_bytes(), &house(&[("KEY", "sk-1")])).unwrap()
}

fn model(config: &Config, name: &str) -> Model {
    (*config.model(&ModelName::from(name)).unwrap()).clone()
}

fn names(edits: &Edits) -> Vec<&str> {
    edits.names().collect()
}

const PROVIDERS: &str = "
default_provider: b
providers:
  a: { base_url: 'http://a/v1', timeouts: { idle: 7s } }
  b: { base_url: 'http://b/v1' }
";

#[test]
fn what_is_not_said_is_the_contract_s_default() {
    let config = read("providers: { p: { base_url: 'http://x' } }");
    assert_eq!(
        config.listen,
        [Listen {
            address: "127.0.0.1:8080".parse().unwrap(),
            tls: None
        }]
    );
    assert_eq!(config.admin, "127.0.0.1:9090".parse().unwrap());
    assert!(config.admin_token.is_none() && config.default_provider.is_none());
    assert_eq!(config.threads, 0);
    let limits = Limits {
        buffered_bytes: 1 << 30,
        header_bytes: 64 << 10,
        connections: 16_384,
        concurrent_requests: 16_384,
        write_timeout: Duration::from_secs(60),
        request_body: 32 << 20,
        max_candidates: 16,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(30),
    };
    assert_eq!(config.limits, limits);
    let timeouts = Timeouts {
        connect: Duration::from_secs(2),
        first_token: Duration::from_secs(30),
        answer: Duration::from_mins(5),
        idle: Duration::from_mins(1),
        total: Duration::from_mins(10),
    };
    assert_eq!(config.providers[0].timeouts, timeouts);
    assert_eq!(config.lead, Duration::ZERO);
    assert_eq!(config.drain, Duration::from_mins(5));
    assert_eq!(config.upgrade_socket, None);
    let health = Health {
        failures: 5,
        failure_ratio: 0.5,
        cooldown: Duration::from_secs(5),
        max_cooldown: Duration::from_mins(1),
    };
    assert_eq!(config.health, health);
    let log = Log {
        format: LogFormat::Json,
        level: log::LevelFilter::Info,
    };
    assert_eq!(config.log, log);
    assert_eq!(
        config.return_at_once,
        crate::outcome::ReturnAtOnce::default()
    );
    let provider = &config.providers[0];
    assert_eq!(
        (provider.kind, provider.http),
        (Kind::OpenAi, HttpVersion::Auto)
    );
    assert!(provider.stream_usage && matches!(provider.credential, Credential::None));
}

#[test]
fn a_name_is_a_model_by_its_entry_its_prefix_or_the_default_provider() {
    let config = read(&format!(
        "{PROVIDERS}models: {{ a/x: {{ upstream_model: y }} }}"
    ));
    for (name, provider, upstream) in [
        ("a/x", "a", "y"),
        ("a/z", "a", "z"),
        ("a/b/c", "a", "b/c"),
        ("z", "b", "z"),
        ("c/z", "b", "c/z"),
        ("/z", "b", "/z"),
    ] {
        let model = model(&config, name);
        assert_eq!(model.name.as_str(), name);
        assert_eq!(model.targets[0].provider.name.as_str(), provider, "{name}");
        assert_eq!(model.targets[0].upstream_model, upstream, "{name}");
    }
    for unknown in ["a/", ""] {
        assert!(
            config.model(&ModelName::from(unknown)).is_none(),
            "{unknown}"
        );
    }
    let without = read("providers: { a: { base_url: 'http://a' } }");
    assert!(without.model(&ModelName::from("z")).is_none());
    assert!(without.model(&ModelName::from("b/z")).is_none());
}

#[test]
fn a_pair_of_provider_and_upstream_model_has_one_index_wherever_it_stands() {
    let config = read(&format!(
        "{PROVIDERS}
models:
  z: {{ provider: b, upstream_model: x }}
  house/best: {{ targets: [{{ provider: a, upstream_model: x }}, {{ provider: b, upstream_model: x }}] }}
  a/alias: {{ upstream_model: y, timeouts: {{ idle: 1s }} }}
  a/second: {{ upstream_model: y }}"
    ));
    let places: Vec<usize> = config.providers.iter().map(|p| p.index).collect();
    assert_eq!(places, [0, 1]);
    let all: Vec<_> = config
        .targets
        .iter()
        .map(|target| {
            let provider = target.provider.name.as_str();
            (target.index, provider, target.upstream_model.as_str())
        })
        .collect();
    let want = [
        (Some(0), "b", "x"),
        (Some(1), "a", "x"),
        (Some(2), "a", "y"),
    ];
    assert_eq!(all, want);
    assert_eq!(config.targets[2].timeouts.idle, Duration::from_secs(1));
    for (name, want) in [
        ("z", &[Some(0)][..]),
        ("house/best", &[Some(1), Some(0)]),
        ("a/alias", &[Some(2)]),
        ("a/second", &[Some(2)]),
        // Made up by a client.
        ("b/x", &[Some(0)]),
        ("x", &[Some(0)]),
        ("a/x", &[Some(1)]),
        ("a/y", &[Some(2)]),
        ("y", &[None]),
        ("b/y", &[None]),
        ("a/z", &[None]),
    ] {
        let targets = model(&config, name).targets;
        let indices: Vec<Option<usize>> = targets.iter().map(|target| target.index).collect();
        assert_eq!(indices, want, "{name}");
    }
}

#[test]
fn a_target_s_own_name_for_a_model_is_what_follows_a_provider_s_prefix() {
    let config = read(&format!(
        "{PROVIDERS}
models:
  a/one: {{ provider: b }}
  house/two: {{ provider: a }}
  three: {{}}
  a/four: {{ targets: [{{ provider: b }}, {{ provider: a, upstream_model: x }}] }}"
    ));
    for (name, upstream) in [
        ("a/one", "one"),
        ("house/two", "house/two"),
        ("three", "three"),
        ("a/four", "four"),
    ] {
        assert_eq!(
            model(&config, name).targets[0].upstream_model,
            upstream,
            "{name}"
        );
    }
}

#[test]
fn timeouts_are_the_model_s_else_the_provider_s_else_failover_s() {
    let config = read(&format!(
        "{PROVIDERS}
failover: {{ connect_timeout: 3s, idle_timeout: 9s }}
models: {{ a/x: {{ timeouts: {{ total: 1m }} }} }}"
    ));
    let own = model(&config, "a/x").targets[0].timeouts;
    assert_eq!(own.total, Duration::from_mins(1));
    assert_eq!(own.idle, Duration::from_secs(7));
    assert_eq!(own.connect, Duration::from_secs(3));
    assert_eq!(
        model(&config, "a/other").targets[0].timeouts.idle,
        Duration::from_secs(7)
    );
    assert_eq!(
        model(&config, "b/x").targets[0].timeouts.idle,
        Duration::from_secs(9)
    );
}

#[test]
fn only_weights_that_differ_are_weights() {
    for (weights, weighted) in [
        (["", ""], false),
        ([", weight: 2", ", weight: 2"], false),
        ([", weight: 3", ", weight: 1"], true),
    ] {
        let config = read(&format!(
            "{PROVIDERS}models: {{ m: {{ targets: [{{ provider: a{} }}, {{ provider: b{} }}] }} }}",
            weights[0], weights[1]
        ));
        assert_eq!(model(&config, "m").weighted, weighted, "{weights:?}");
    }
}

#[test]
fn edits_are_kept_in_order_and_as_json() {
    let config = read(&format!(
        "{PROVIDERS}
models:
  a/x:
    request:
      drop: [seed]
      rename: {{ max_tokens: max_completion_tokens }}
      set:
        store: false
        stop: ['a\"b', \"5\", 5, 1.50, null, ~, 0x10]
        metadata: {{ deep: {{ er: [{{}}] }}, key: '${{KEY}}', plain: \"${{KEY}}\" }}"
    ));
    let edits = &model(&config, "a/x").targets[0].edits;
    assert_eq!(edits.drop, ["seed".into()]);
    assert_eq!(
        edits.rename,
        [("max_tokens".into(), "max_completion_tokens".into())]
    );
    let set: Vec<(&str, &[u8])> = edits
        .set
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        set,
        [
            ("store", &b"false"[..]),
            ("stop", br#"["a\"b","5",5,1.50,null,null,16]"#),
            (
                "metadata",
                br#"{"deep":{"er":[{}]},"key":"sk-1","plain":"sk-1"}"#
            ),
        ]
    );
}

#[test]
fn a_provider_at_a_well_known_host_has_its_rules_and_models() {
    let config = read(
        "
providers:
  mine: { base_url: 'https://API.openai.com/v1' }
  mistral-eu: { base_url: 'https://api.mistral.ai/v1' }
  asked: { base_url: 'https://api.mistral.ai/v1', stream_usage: true }
  proxy: { base_url: 'https://proxy.example/v1' }
models:
  mine/o3: { request: {} }
  mine/gpt-5: { timeouts: { idle: 1s } }",
    );
    let edits = |name: &str| names(&model(&config, name).targets[0].edits).join(" ");
    assert!(edits("mine/o4-mini").contains("temperature"));
    assert!(edits("mine/gpt-5-mini-2025-08-07").contains("max_completion_tokens"));
    assert!(edits("mine/gpt-5").contains("temperature"));
    assert_eq!(
        edits("mine/gpt-5-chat-latest"),
        "max_tokens max_completion_tokens"
    );
    for plain in ["mine/o3", "mine/gpt-4o", "proxy/o4-mini"] {
        assert_eq!(edits(plain), "", "{plain}");
    }
    let usage: Vec<bool> = config
        .providers
        .iter()
        .map(|provider| provider.stream_usage)
        .collect();
    assert_eq!(usage, [true, false, true, true]);
    let listed: Vec<&str> = config.listed.iter().map(ModelName::as_str).collect();
    assert!(
        listed.is_sorted()
            && listed.contains(&"mine/gpt-4o")
            && listed.contains(&"mistral-eu/mistral-large-latest")
    );
    assert!(!listed.iter().any(|name| name.starts_with("proxy/")));
    assert_eq!(listed.iter().filter(|name| **name == "mine/o3").count(), 1);
}

#[test]
fn without_a_file_the_environment_says_which_providers_there_are() {
    let vars = [
        ("GEMINI_API_KEY", "k1"),
        ("GOOGLE_API_KEY", "k2"),
        ("GROQ_API_KEY", "k3"),
        ("OPENAI_API_KEY", " "),
    ];
    let config = builtin(&house(&vars)).unwrap();
    let names: Vec<&str> = config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(names, ["google", "groq"]);
    let places: Vec<usize> = config.providers.iter().map(|p| p.index).collect();
    assert_eq!(places, [0, 1]);
    assert!(config.targets.is_empty());
    let google = model(&config, "google/gemini-1.5-pro");
    let Credential::Inline(key) = &google.targets[0].provider.credential else {
        panic!("a key from the environment is written inline");
    };
    assert_eq!(key.reveal(), "k1");
    assert_eq!(
        config.default_provider.as_ref().unwrap().name.as_str(),
        "google"
    );
    assert_eq!(
        config.listen,
        [Listen {
            address: "127.0.0.1:8080".parse().unwrap(),
            tls: None
        }]
    );
    assert!(
        config
            .listed
            .contains(&ModelName::from("google/gemini-2.5-pro"))
    );

    let none = builtin(&House::default()).unwrap_err().to_string();
    for name in [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "OLLAMA_HOST",
    ] {
        assert!(none.contains(name), "{none}");
    }
    let bad = builtin(&house(&[("GROQ_API_KEY", "sk two words")]))
        .unwrap_err()
        .to_string();
    assert!(
        bad.contains("GROQ_API_KEY") && !bad.contains("two"),
        "{bad}"
    );
}

#[test]
fn ollama_s_host_is_read_as_ollama_reads_it() {
    for (host, authority, tls) in [
        ("0.0.0.0", "127.0.0.1:11434", false),
        ("127.0.0.1:8000", "127.0.0.1:8000", false),
        (":8000", "127.0.0.1:8000", false),
        ("box.local", "box.local:11434", false),
        ("http://box.local", "box.local", false),
        ("https://box.local:8443/", "box.local:8443", true),
        ("::1", "[::1]:11434", false),
        ("[::]:80", "127.0.0.1", false),
    ] {
        let config = builtin(&house(&[("OLLAMA_HOST", host)])).unwrap();
        let url = &config.providers[0].base_url;
        assert_eq!(
            (url.authority().as_str(), url.tls, url.path.as_str()),
            (authority, tls, "/v1"),
            "{host}"
        );
    }
    let bad = builtin(&house(&[("OLLAMA_HOST", "a b")]))
        .unwrap_err()
        .to_string();
    assert!(bad.contains("OLLAMA_HOST"), "{bad}");
}

#[test]
fn azure_and_vllm_come_with_their_address() {
    let key = ("AZURE_OPENAI_API_KEY", "k");
    let url = ("AZURE_OPENAI_ENDPOINT", "https://east.openai.azure.com/");
    let version = ("OPENAI_API_VERSION", "2024-10-21");
    let config = builtin(&house(&[key, url, version])).unwrap();
    let azure = &config.providers[0];
    assert_eq!(
        (azure.kind, azure.api_version.as_deref()),
        (Kind::Azure, Some("2024-10-21"))
    );
    assert_eq!(azure.base_url.authority(), "east.openai.azure.com");
    for half in [vec![key, url], vec![key, version], vec![url, version]] {
        let problems = builtin(&house(&half)).unwrap_err().to_string();
        let all = "AZURE_OPENAI_API_KEY with AZURE_OPENAI_ENDPOINT and OPENAI_API_VERSION";
        assert!(problems.contains(all), "{half:?}: {problems}");
    }
    let config = builtin(&house(&[("VLLM_BASE_URL", "http://gpu:9000/v1")])).unwrap();
    assert_eq!(config.providers[0].base_url.authority(), "gpu:9000");
}

#[test]
fn bytes_that_are_no_text_are_told_apart() {
    for (bytes, at, what) in [
        (&b"a: b\nc: \xff"[..], "2:4", "not UTF-8"),
        (b"a: b\nc\0: d", "2:2", "U+0000"),
        (b"a: \x1b[2J", "1:4", "U+001B"),
    ] {
        let said = load("t", bytes, &House::default()).unwrap_err().to_string();
        assert!(
            said.starts_with(&format!("t:{at}: ")) && said.contains(what),
            "{said}"
        );
    }
    let bom = "\u{feff}providers: { p: { base_url: 'http://x' } }\r\nthreads: 2\r\n";
    assert_eq!(read(bom).threads, 2);
}

#[test]
fn a_configuration_shows_no_secret_of_its_own() {
    let config = load(
        "t",
        b"admin_token: ${KEY}\nproviders: { p: { base_url: http://x, api_key: \"${KEY}\", headers: { x-a: \"${KEY}\" } } }",
        &house(&[("KEY", "sk-never-shown")]),
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("never-shown"));
}

#[test]
fn health_holds_what_is_written_up_to_its_bounds() {
    for (written, failures, failure_ratio, cooldown, max_cooldown) in [
        (
            "failures: 1, failure_ratio: 1, cooldown: 1ms, max_cooldown: 1ms",
            1,
            1.0,
            Duration::from_millis(1),
            Duration::from_millis(1),
        ),
        (
            "failures: 100, failure_ratio: 1e-9, cooldown: 24h, max_cooldown: 24h",
            100,
            1e-9,
            Duration::from_hours(24),
            Duration::from_hours(24),
        ),
        (
            "failures: 7, failure_ratio: .25",
            7,
            0.25,
            Duration::from_secs(5),
            Duration::from_mins(1),
        ),
    ] {
        let text = format!("{PROVIDERS}health: {{ {written} }}");
        let want = Health {
            failures,
            failure_ratio,
            cooldown,
            max_cooldown,
        };
        assert_eq!(read(&text).health, want, "{written}");
    }
    let config = load(
        "t.yaml",
        format!("{PROVIDERS}health:\n  failures: ${{N}}\n  failure_ratio: 0.${{N}}").as_bytes(),
        &house(&[("N", "7")]),
    );
    let health = config.unwrap().health;
    assert_eq!((health.failures, health.failure_ratio), (7, 0.7));
}

#[test]
fn a_provider_stays_the_same_place_and_keeps_its_credential_apart() {
    let house = house(&[("KEY", "sk-1"), ("OTHER", "sk-2")]);
    let provider = |text: &str| {
        let here = "base_url: 'http://h/v1'";
        let same = "api_key: sk-1, headers: { x-a: '1', x-b: '2' }";
        let text = text.replace("HERE", here).replace("SAME", same);
        let text = format!("providers:\n  {text}");
        let config = load("t.yaml", text.as_bytes(), &house).unwrap();
        Arc::clone(&config.providers[0])
    };
    let before = provider("p: { HERE, api_key: \"${KEY}\", headers: { x-a: '1', x-b: '2' } }");
    for (after, same_place, same_credential) in [
        (
            "p: { base_url: 'http://h/v1/', api_key: sk-1, headers: { X-B: '2', x-a: '1' } }",
            true,
            true,
        ),
        (
            "p: { HERE, SAME, stream_usage: false, timeouts: { idle: 1s } }",
            true,
            true,
        ),
        ("q: { HERE, SAME }", false, true),
        ("p: { base_url: 'http://h/v2', SAME }", false, true),
        ("p: { base_url: 'https://h/v1', SAME }", false, true),
        ("p: { base_url: 'http://h:81/v1', SAME }", false, true),
        ("p: { HERE, http: 2, SAME }", false, true),
        (
            "p: { HERE, kind: azure, api_version: '1', SAME }",
            false,
            true,
        ),
        (
            "p: { HERE, api_key: \"${OTHER}\", headers: { x-a: '1', x-b: '2' } }",
            true,
            false,
        ),
        ("p: { HERE, headers: { x-a: '1', x-b: '2' } }", true, false),
        (
            "p: { HERE, api_key: sk-1, headers: { x-a: '1', x-b: '3' } }",
            true,
            false,
        ),
        (
            "p: { HERE, api_key: sk-1, headers: { x-a: '1', x-c: '2' } }",
            true,
            false,
        ),
        (
            "p: { HERE, api_key: sk-1, headers: { x-a: '1' } }",
            true,
            false,
        ),
        (
            "p: { HERE, api_key: sk-1, headers: { x-a: '1', x-b: '2', x-c: '3' } }",
            true,
            false,
        ),
    ] {
        let provider = provider(after);
        for (a, b) in [(&before, &provider), (&provider, &before)] {
            assert_eq!(a.is_same_place(b), same_place, "{after}");
            assert_eq!(a.has_same_credential(b), same_credential, "{after}");
        }
    }
}

#[test]
fn a_credential_s_file_is_the_same_by_its_path() {
    let with = |credential| {
        let mut provider = (*read(PROVIDERS).providers[0]).clone();
        provider.credential = credential;
        provider
    };
    let file = |path: &str| with(Credential::File(path.into()));
    assert!(file("keys/a").has_same_credential(&file("keys/a")));
    assert!(!file("keys/a").has_same_credential(&file("keys/b")));
    assert!(!file("keys/a").has_same_credential(&with(Credential::Inline("keys/a".into()))));
    assert!(!file("keys/a").has_same_credential(&with(Credential::None)));
}

#[test]
fn return_at_once_holds_what_is_written() {
    let config = read(&format!(
        "{PROVIDERS}failover: {{ return_at_once: [context_length, 422, 422, context_length] }}"
    ));
    assert_eq!(config.return_at_once.labels, ["context_length"]);
    assert_eq!(config.return_at_once.statuses, [422]);
    assert!(config.return_at_once.holds(Outcome::ContextLength, None));
}

#[test]
fn the_catalogue_has_no_mistake() {
    let mut found = Found::default();
    let known = super::catalogue::read(super::catalogue::TEXT, &mut found);
    assert!(
        found.is_empty(),
        "{}",
        found.into_problems("conf/catalogue.yaml")
    );
    assert_eq!(known.len(), 14);
}

/// Calls `each` for every section that a configuration can have.
fn sections(section: &'static Section, each: &mut dyn FnMut(&'static Section)) {
    each(section);
    for key in section.keys {
        if let Form::Addresses(inner)
        | Form::List(inner)
        | Form::Section(inner)
        | Form::Sections(inner) = &key.form
        {
            sections(inner, each);
        }
    }
}

#[test]
fn every_key_is_described_once_and_every_default_reads_as_its_form() {
    for root in [&ROOT, &CATALOGUE, &PRICES] {
        sections(root, &mut |section| {
            for (at, key) in section.keys.iter().enumerate() {
                assert!(key.doc.ends_with('.'), "{} in {}", key.name, section.name);
                assert!(
                    section.keys[..at]
                        .iter()
                        .all(|other| other.name != key.name)
                );
                if key.default.is_empty() {
                    continue;
                }
                let good = match &key.form {
                    Form::Address | Form::Addresses(_) => {
                        key.default.parse::<std::net::SocketAddr>().is_ok()
                    }
                    Form::Bool => key.default.parse::<bool>().is_ok(),
                    Form::Choice(words) => words.contains(&key.default),
                    Form::Duration { .. } => crate::base::duration(key.default).is_ok(),
                    Form::Failures => key.default == "[]",
                    Form::Path => std::path::Path::new(key.default).is_relative(),
                    Form::Ratio => key
                        .default
                        .parse()
                        .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
                    Form::Share => key
                        .default
                        .parse()
                        .is_ok_and(|share: f64| share > 0.0 && share <= 1.0),
                    Form::Size(least, most) => crate::base::size(key.default)
                        .is_ok_and(|size| (*least..=*most).contains(&size)),
                    Form::Whole(least, most) => key
                        .default
                        .parse()
                        .is_ok_and(|number: u32| (*least..=*most).contains(&number)),
                    Form::Text => !key.default.trim().is_empty(),
                    Form::Anything
                    | Form::Digest
                    | Form::List(_)
                    | Form::Pairs
                    | Form::Price
                    | Form::Secret
                    | Form::Section(_)
                    | Form::Sections(_)
                    | Form::Texts
                    | Form::Url
                    | Form::Usd => false,
                };
                assert!(good, "{} in {}", key.name, section.name);
            }
            for required in section.required {
                assert!(section.key(required).is_some(), "{required}");
            }
        });
    }
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    assert_eq!(schema["properties"]["listen"]["default"], "127.0.0.1:8080");
    assert_eq!(schema["properties"]["threads"]["default"], 0);
    assert_eq!(
        schema["properties"]["failover"]["properties"]["return_at_once"]["default"],
        serde_json::json!([])
    );
    let health = &schema["properties"]["health"]["properties"];
    assert_eq!(health["failure_ratio"]["default"], 0.5);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["providers"]));
    let provider = &schema["properties"]["providers"]["additionalProperties"];
    assert_eq!(provider["properties"]["stream_usage"]["default"], true);
    // What a reference leads to is there.
    let listen = &schema["properties"]["listen"]["anyOf"];
    assert_eq!(listen[1]["items"]["$ref"], "#/properties/listen/anyOf/0");
    assert!(listen[0]["anyOf"][1]["properties"]["address"].is_object());
    let mut keys = 0;
    sections(&ROOT, &mut |section| keys += section.keys.len());
    assert_eq!(
        schema.to_string().matches("\"description\":").count(),
        keys + 1
    );
}
