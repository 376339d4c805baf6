//! The command line: outputs, exit codes, and secrets in neither.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::SystemTime;

use standin::access::Access;
use standin::config::Nothing;
use standin::mock::{At, Mock, Reply, Script};
use standin::usage::Usd;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::house::{Folder, House, providers, soon};
use crate::talk::{Talk, chat};

async fn standin(folder: &Folder, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command
        .args(arguments)
        .current_dir(folder.file("."))
        .env_remove("STANDIN_CONFIG")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    soon("the command's end", command.output()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const GOOD: &str =
    "providers:\n  p: { base_url: \"http://127.0.0.1:1/v1\", api_key: sk-planted }\n";

#[tokio::test]
async fn check_says_good_or_every_problem() {
    let folder = Folder::new();
    folder.write("good.yaml", GOOD);
    folder.write(
        "bad.yaml",
        "providrs: {}\nlisten: nowhere\nthreads: sk-planted\n",
    );
    let good = standin(&folder, &["check", "-c", "good.yaml"], &[]).await;
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(
        text(&good.stdout),
        "good.yaml: 1 providers, 0 models: good\n"
    );
    for (arguments, env) in [
        (&["check", "-c", "bad.yaml"][..], &[][..]),
        (&["check"], &[("STANDIN_CONFIG", "bad.yaml")]),
        (&["serve", "-c", "bad.yaml"], &[]),
    ] {
        let bad = standin(&folder, arguments, env).await;
        assert_eq!(bad.status.code(), Some(2), "{arguments:?}");
        assert!(bad.stdout.is_empty());
        let problems: Vec<_> = text(&bad.stderr).lines().collect();
        assert!(problems.len() >= 3, "{problems:?}");
        assert!(
            problems.iter().all(|line| line.starts_with("bad.yaml:")),
            "{problems:?}"
        );
    }
    let builtin = standin(&folder, &["check"], &[("GROQ_API_KEY", "planted")]).await;
    assert!(text(&builtin.stdout).starts_with("built-in catalogue: "));
    std::fs::create_dir_all(folder.file("conf")).unwrap();
    folder.write("conf/standin.yaml", GOOD);
    // A variable that is empty names nothing.
    for env in [&[][..], &[("STANDIN_CONFIG", "")]] {
        let usual = standin(&folder, &["check"], env).await;
        assert!(text(&usual.stdout).starts_with("conf/standin.yaml: "));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_bad_configuration() {
    let folder = Folder::new();
    for command in ["check", "serve"] {
        for name in ["missing.yaml", "."] {
            let bad = standin(&folder, &[command, "-c", name], &[]).await;
            assert_eq!(bad.status.code(), Some(2), "{command} {name}");
            assert!(text(&bad.stderr).starts_with(name), "{}", text(&bad.stderr));
            let bad = standin(&folder, &[command], &[("STANDIN_CONFIG", name)]).await;
            assert_eq!(bad.status.code(), Some(2), "{command} {name}");
        }
    }
}

#[tokio::test]
async fn bad_usage_is_2_and_help_is_0() {
    let folder = Folder::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--fly"],
        &["check", "-c"],
        &["demo", "x"],
    ] {
        let output = standin(&folder, arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"]] {
        let output = standin(&folder, arguments, &[]).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[tokio::test]
async fn the_schema_is_json() {
    let output = standin(&Folder::new(), &["schema"], &[]).await;
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["providers"].is_object());
}

#[tokio::test]
async fn the_demo_walks_to_the_third_model() {
    let output = standin(&Folder::new(), &["demo", "--once"], &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for line in [
        "openai/gpt-4o",
        "429",
        "openai/o1",
        "503",
        "google/gemini-1.5-pro",
        "200",
        "data: [DONE]",
        "skipped:cooling",
        "/status:",
        "2 failures in a row",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(text(&output.stderr), "");
}

#[tokio::test]
async fn the_demo_keeps_serving_until_ctrl_c() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let at = soon("the demo's address", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("more lines");
            if let Some((_, at)) = line.split_once("Still serving on http://") {
                break at.split('/').next().unwrap().parse().unwrap();
            }
        }
    });
    let mut talk = Talk::to(at.await).await;
    let models = ["openai/gpt-4o", "openai/o1", "google/gemini-1.5-pro"];
    assert_eq!(
        talk.chat(&models, false).await.walk().matches('=').count(),
        3
    );
    interrupt(&child);
    let status = soon("the demo's end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

fn interrupt(child: &Child) {
    let pid = child.id().expect("it runs").to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn every_address_of_a_list_is_served() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = "listen: [\"127.0.0.1:0\", \"[::1]:0\"]\n";
    let more = if std::net::TcpListener::bind("[::1]:0").is_ok() {
        more.to_owned()
    } else {
        more.replace("[::1]:0", "127.0.0.2:0")
    };
    let house = House::start(&providers(&[("p", &mock)], &more)).await;
    house.logged("admin on").await;
    let log = house.log();
    let at = log
        .iter()
        .filter_map(|line| line.split_once("listening on "));
    let at: Vec<SocketAddr> = at.map(|(_, at)| at.parse().unwrap()).collect();
    assert_eq!(at.len(), 2);
    for at in at {
        let answer = Talk::to(at).await.chat(&["p/m"], false).await;
        assert_eq!(answer.status, 200, "{at}");
    }
}

#[tokio::test]
async fn what_fails_at_the_start_is_1() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    folder.write(
        "listen.yaml",
        &format!("listen: {at}\nadmin: 127.0.0.1:0\n{GOOD}"),
    );
    folder.write(
        "admin.yaml",
        &format!("listen: 127.0.0.1:0\nadmin: {at}\n{GOOD}"),
    );
    for name in ["listen.yaml", "admin.yaml"] {
        let output = standin(&folder, &["serve", "-c", name], &[]).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stderr).contains(&at.to_string()));
    }
    folder.write(
        "certificates.yaml",
        &format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{GOOD}"),
    );
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let broken = folder.write("broken.pem", broken);
    let env = [("SSL_CERT_FILE", broken.to_str().unwrap())];
    let output = standin(&folder, &["serve", "-c", "certificates.yaml"], &env).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("SSL_CERT_FILE") && !said.contains("panicked"),
        "{said}"
    );
}

/// Everything that must stay between a client and its provider, through
/// everything that is logged at the noisiest level.
#[tokio::test]
async fn no_secret_is_in_the_log_at_any_level() {
    let reply = |text| Reply::answer(text);
    let mock = Mock::start(Script::by_model([
        ("good", reply("planted-answer")),
        ("cut", reply("planted-answer and more").cut(At::Byte(200))),
        (
            "broken",
            reply("x").header("bad header planted-answer", "1"),
        ),
        (
            "error",
            Reply::json(
                500,
                r#"{"error":{"message":"planted-answer","code":"planted-answer!"}}"#,
            ),
        ),
        (
            "auth",
            Reply::json(401, r#"{"error":{"message":"sk-test-p planted-answer"}}"#),
        ),
    ]));
    let mock = mock.await.unwrap();
    let more = "admin_token: planted-token\nlog: { format: json, level: trace }\n";
    let house = House::start(&providers(&[("p", &mock)], more)).await;
    let headers = [
        "authorization: Bearer planted-key",
        "cookie: planted-cookie",
    ];
    for model in ["good", "cut", "broken", "error", "auth", "none"] {
        for stream in [false, true] {
            let body = chat(&[&format!("p/{model}")], stream).replace("Hello", "planted-prompt");
            let mut talk = house.talk().await;
            talk.post_with("/v1/chat/completions?key=planted-query", &headers, &body)
                .await;
        }
    }
    for raw in [
        "GET / HTTP/1.1\r\nauthorization: planted-key\r\nno colon planted-key\r\n\r\n",
        "GET / HTTP/9.9 planted-key\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nplanted-prompt\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 16\r\n\r\n{planted-prompt:",
    ] {
        let mut talk = house.talk().await;
        talk.send(raw).await;
        assert_eq!(talk.answer().await.status, 400);
    }
    let mut last = house.talk().await;
    last.post_with(
        "/v1/chat/completions",
        &["x-request-id: the-last"],
        &chat(&["p/good"], false),
    )
    .await;
    house.logged("the-last").await;
    let log = house.log();
    assert!(log.iter().any(|line| line.contains("DEBUG")), "{log:?}");
    for line in log {
        assert!(
            !line.contains("planted") && !line.contains("sk-test"),
            "{line}"
        );
        let line: serde_json::Value = serde_json::from_str(&line).expect("one JSON object a line");
        assert!(line["time"].is_string() && line["message"].is_string());
    }
}

#[tokio::test]
async fn serve_takes_all_descriptors_that_it_may() {
    let folder = Folder::new();
    let yaml = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
                providers: { a: { base_url: \"http://127.0.0.1:9/v1\" } }\n";
    let path = folder.write("standin.yaml", yaml);
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -Sn 128; exec \"$0\" serve -c \"$1\""])
        .arg(env!("CARGO_BIN_EXE_standin"))
        .arg(path)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    soon("the first line", stderr.next_line()).await.unwrap();
    let pid = child.id().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3], words[4], "the soft limit is the hard one");
}

#[tokio::test]
async fn threads_are_as_many_as_configured() {
    for threads in [1, 3] {
        let yaml = format!(
            "threads: {threads}\nproviders: {{ a: {{ base_url: \"http://127.0.0.1:9/v1\" }} }}\n"
        );
        let house = House::start(&yaml).await;
        let tasks = std::fs::read_dir(format!("/proc/{}/task", house.pid())).unwrap();
        // The first thread has the process's own name and serves nobody.
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        let workers = names.filter(|name| name.as_ref().is_ok_and(|name| name.trim() == "standin"));
        assert_eq!(workers.count(), threads + 1);
    }
}

#[tokio::test]
async fn a_new_key_comes_with_the_entry_that_knows_it() {
    let folder = Folder::new();
    let mut keys = Vec::new();
    let mut file = format!("{GOOD}keys:\n");
    for name in ["search-team", "0x7", "anna@example.com"] {
        let made = standin(&folder, &["key", "new", name], &[]).await;
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let (key, entry) = text(&made.stdout).split_once('\n').unwrap();
        assert!(
            key.starts_with("sk-standin-") && key.len() == 11 + 64,
            "{key}"
        );
        assert!(!entry.contains(key) && !text(&made.stderr).contains(key));
        file.push_str(entry);
        keys.push((name, key.to_owned()));
    }
    folder.write("keys.yaml", &file);
    let checked = standin(&folder, &["check", "-c", "keys.yaml"], &[]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(keys[0].1 != keys[1].1);
    let config = standin::config::load("keys.yaml", file.as_bytes(), &Nothing).unwrap();
    let access = Access::new(&config, None, &|_, _| Usd::ZERO, SystemTime::UNIX_EPOCH);
    for (name, key) in keys {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        let who = access.who(&headers).unwrap().unwrap();
        assert_eq!(&**who.name(), name);
    }
}

#[tokio::test]
async fn what_cannot_name_a_key_is_bad_usage() {
    let folder = Folder::new();
    for name in ["", "two words", "a\"b", &"x".repeat(65)] {
        let refused = standin(&folder, &["key", "new", name], &[]).await;
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty());
    }
}
