//! `standin demo`: the whole job on loopback, without a key.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failed, print, runtime};
use crate::mock::{Mock, Reply, Script};
use crate::server::{Places, Server, Source, start_log};

/// The README's first request. A test holds the two together.
pub const FIRST_REQUEST: &str = r#"{
  "model": "openai/gpt-4o",
  "models": ["openai/o1", "google/gemini-1.5-pro"],
  "messages": [{"role": "user", "content": "Who answers when the first one cannot?"}]
}"#;

/// Where the demo listens if nobody else does.
const USUAL_PORT: u16 = 8080;

/// How long the walk may take before something is plainly wrong.
const PATIENCE: Duration = Duration::from_secs(20);

const ANSWER: [&str; 6] = [
    "The next ",
    "one on ",
    "your list ",
    "that is ",
    "able ",
    "to.",
];

/// The mock providers behind the demo.
struct Providers {
    openai: Mock,
    google: Mock,
}

pub(super) fn run(once: bool) -> Result<(), Failed> {
    let nowhere = "http://127.0.0.1/v1";
    let config = configured(0, nowhere, nowhere)
        .load()
        .map_err(Failed::Running)?;
    start_log(config.log).map_err(Failed::Running)?;
    runtime(&config)?.block_on(async {
        let providers = providers().await?;
        let server = start(&providers).await?;
        let nobody = || failed("no listener");
        let at = *server.listen().first().ok_or_else(nobody)?;
        let admin = server.admin().ok_or_else(nobody)?;
        show(at).await?;
        remembered(admin).await?;
        if once {
            return Ok(());
        }
        print(&format!(
            "\nStill serving on http://{at}/v1 until Ctrl-C. Watch it in a browser: \
             http://{admin}/\n\nTry it:\n\n{}\n",
            curl(at, FIRST_REQUEST)
        ))?;
        server.run().await.map_err(Failed::Running)
    })
}

fn configured(port: u16, openai: &str, google: &str) -> Source {
    // The walks tell it all.
    Source::Text(format!(
        "listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:0\nlog: {{ format: text, level: error }}\n\
         providers:\n  openai: {{ base_url: \"{openai}\", api_key: demo }}\n  \
         google: {{ base_url: \"{google}\", api_key: demo }}\n"
    ))
}

/// On the usual port, or on any. Not looked at first: somebody else may take
/// it in between.
async fn start(providers: &Providers) -> Result<Server, Failed> {
    let (openai, google) = (providers.openai.base_url(), providers.google.base_url());
    let on = async |port| {
        let source = configured(port, &openai, &google);
        let config = source.load()?;
        Server::start(source, config, Places::default()).await
    };
    let started = match on(USUAL_PORT).await {
        Err(_) => on(0).await,
        started => started,
    };
    started.map_err(Failed::Running)
}

async fn providers() -> Result<Providers, Failed> {
    let openai = Script::by_model([
        ("gpt-4o", Script::from(Reply::rate_limited(Some("30")))),
        ("o1", Script::from(Reply::unavailable())),
    ]);
    let google = Script::by_model([(
        "gemini-1.5-pro",
        Script::from(Reply::stream_completion(ANSWER)),
    )]);
    let start = |script| async {
        let started = Mock::start(script).await;
        started.map_err(|error| failed(&format!("mock provider: {error}")))
    };
    Ok(Providers {
        openai: start(openai).await?,
        google: start(google).await?,
    })
}

fn failed(why: &str) -> Failed {
    Failed::Running(why.to_owned())
}

/// Sends the first request, plain and streamed, and prints what happened.
async fn show(at: SocketAddr) -> Result<(), Failed> {
    print(&format!(
        "Three models, of which two cannot answer. One request:\n\n{}\n\n",
        curl(at, FIRST_REQUEST)
    ))?;
    let plain = ask(at, FIRST_REQUEST).await?;
    print(&walk(&plain)?)?;
    print(&format!("\n{}\n", plain.body.trim_end()))?;
    let answer: Value = serde_json::from_str(&plain.body).map_err(|e| failed(&e.to_string()))?;
    print(&format!("\n\"model\": {}\n", answer["model"]))?;

    let streamed = FIRST_REQUEST.replacen('{', "{\n  \"stream\": true,", 1);
    let stream = ask(at, &streamed).await?;
    print("\nThe same request with \"stream\": true:\n\n")?;
    print(&walk(&stream)?)?;
    print(&format!("\n{}\n", stream.body.trim_end()))
}

/// Prints what is known of each target by now.
async fn remembered(admin: SocketAddr) -> Result<(), Failed> {
    print(&format!(
        "\nWhat it remembers, by http://{admin}/status:\n\n"
    ))?;
    let request = format!("GET /status HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let answer = exchange(admin, &request).await?;
    let status: Value = serde_json::from_str(&answer.body).map_err(|e| failed(&e.to_string()))?;
    for target in status["targets"].as_array().into_iter().flatten() {
        let word = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
        let more = match target["consecutive_failures"].as_u64() {
            Some(failures @ 1..) => format!("{failures} failures in a row"),
            _ if target["until"].is_string() => {
                format!("until {} ({})", word("until"), word("why"))
            }
            _ => String::new(),
        };
        let line = format!("{:<22}  {:<8}  {more}", word("model"), word("state"));
        print(&format!("{}\n", line.trim_end()))?;
    }
    Ok(())
}

fn curl(at: SocketAddr, body: &str) -> String {
    format!("curl http://{at}/v1/chat/completions -H 'content-type: application/json' -d '{body}'")
}

/// One line for each attempt, as `x-standin-attempts` tells them.
fn walk(answer: &Answered) -> Result<String, Failed> {
    let attempts = answer
        .header("x-standin-attempts")
        .ok_or_else(|| failed("the answer tells of no attempts"))?;
    let mut lines = String::new();
    for (nth, attempt) in attempts.split(", ").enumerate() {
        let (model, status) = attempt.rsplit_once('=').unwrap_or((attempt, ""));
        let what = match status {
            "200" => "returned a completion",
            "skipped:cooling" => "still rate limited: not asked again",
            "429" => "rate limited",
            "503" => "provider unavailable",
            _ => "failed",
        };
        lines += &format!("attempt {}  {model:<22}  {status}  {what}\n", nth + 1);
    }
    Ok(lines)
}

/// An answer as it came, its chunks joined.
struct Answered {
    head: String,
    body: String,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

async fn ask(at: SocketAddr, body: &str) -> Result<Answered, Failed> {
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {at}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(at, &request).await
}

/// A client of the simplest kind.
async fn exchange(at: SocketAddr, request: &str) -> Result<Answered, Failed> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, exchange).await;
    let answer = answer.map_err(|_| failed("no answer in time"))?;
    let answer = answer.map_err(|error| failed(&error.to_string()))?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| failed("an answer without a head"))?;
    let mut answer = Answered {
        head: head.to_owned(),
        body: body.to_owned(),
    };
    if answer.header("transfer-encoding").is_some() {
        answer.body = dechunked(body);
    }
    Ok(answer)
}

fn dechunked(mut body: &str) -> String {
    let mut joined = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        joined.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    joined
}
