//! `mock`: scripted providers, and where asked for the proxy before them, as
//! one process that ends when its standard input does. So nothing is left
//! behind, however the process that started it comes to its end.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use standin::mock::{Counts, Mock, Refused, Script, Seen};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::proxy::Proxy;
use crate::{print, scene};

/// Plays a script until standard input ends.
pub(crate) async fn run(
    script: &str,
    at: SocketAddr,
    seed: u64,
    standin: Option<PathBuf>,
    ledger: Option<PathBuf>,
) -> Result<(), String> {
    let port = at.port();
    let mut scene = scene::named(script, seed)?;
    if let Some(path) = ledger {
        scene.config += &format!("ledger: {{ path: {path:?} }}\n");
    }
    let mut players = Vec::with_capacity(scene.providers.len());
    let mut ports = port..=u16::MAX;
    for (name, script) in scene.providers {
        let port = match port {
            0 => 0,
            _ => ports.next().ok_or("no port is left")?,
        };
        let at = SocketAddr::new(at.ip(), port);
        let mock = Mock::bind(at, script).await;
        players.push(Player {
            name,
            mock: mock.map_err(|error| format!("{at}: {error}"))?,
            closed: None,
        });
    }
    let refused = Mock::refused().map_err(|error| format!("mock: {error}"))?;
    let urls: Vec<(&str, String)> = players
        .iter()
        .map(|player| (player.name, player.mock.base_url()))
        .chain([(scene::REFUSED, refused.base_url())])
        .collect();
    let mut proxy = match standin {
        None => None,
        Some(binary) => {
            let homes = urls.iter().flat_map(|(name, url)| {
                let homes = (scene.homes)(name);
                homes.into_iter().map(move |home| (home, url.as_str()))
            });
            Some(Proxy::start(&binary, &yaml(homes, &scene.config)).await?)
        }
    };
    let mut providers = serde_json::Map::new();
    for (name, url) in urls {
        providers.insert(name.to_owned(), url.into());
    }
    let mut places = json!({ "providers": providers, "config": scene.config });
    if let Some(proxy) = &proxy {
        places["standin"] = json!({
            "base_url": format!("http://{}/v1", proxy.listen),
            "listen": proxy.listen.to_string(),
            "admin": proxy.admin.to_string(),
            "pid": proxy.pid,
        });
    }
    print(&places.to_string())?;
    let ended = async {
        match &mut proxy {
            Some(proxy) => proxy.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = commands(&mut players, scene.part) => done,
        why = ended => Err(why),
    }
}

/// A provider of the scene.
struct Player {
    name: &'static str,
    mock: Mock,
    /// Holds the address while nobody listens there.
    closed: Option<Refused>,
}

type Part = fn(&[&str]) -> Option<Script>;

fn yaml<'a>(homes: impl Iterator<Item = (String, &'a str)>, more: &str) -> String {
    let mut yaml = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: { format: text, level: info }\n\
                    providers:\n"
        .to_owned();
    for (name, url) in homes {
        yaml += &format!("  {name}: {{ base_url: \"{url}\", api_key: sk-mock-{name} }}\n");
    }
    yaml + more
}

/// Answers each line of standard input with one line of JSON.
async fn commands(players: &mut [Player], part: Part) -> Result<(), String> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = command(players, part, &line).await;
        print(
            &answer
                .unwrap_or_else(|why| json!({ "error": why }))
                .to_string(),
        )?;
    }
    Ok(())
}

async fn command(players: &mut [Player], part: Part, line: &str) -> Result<Value, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (&name, provider) = match words.as_slice() {
        [name, provider, ..] => (name, *provider),
        _ => return Err("a command and a provider are needed".to_owned()),
    };
    let player = players
        .iter_mut()
        .find(|player| player.name == provider)
        .ok_or_else(|| format!("no provider {provider}"))?;
    let part = |words: &[&str]| part(words).ok_or_else(|| format!("no part {words:?}"));
    let mock = &player.mock;
    match (name, words.get(2..).unwrap_or_default()) {
        ("asked", [model]) => Ok(json!({ "asked": mock.asked(model) })),
        ("cancelled", [answers]) => {
            let answers = answers.parse().map_err(|_| "how many?".to_owned())?;
            mock.wait_cancelled(answers).await;
            Ok(counts(mock.counts()))
        }
        ("close", []) => {
            player.close().await?;
            Ok(counts(player.mock.counts()))
        }
        ("counts", []) => Ok(counts(mock.counts())),
        ("last", []) => Ok(mock.last().map_or(Value::Null, |seen| request(&seen))),
        ("open", words) => {
            player.open(part(words)?).await?;
            Ok(counts(player.mock.counts()))
        }
        ("play", words) => {
            mock.play(part(words)?);
            Ok(counts(mock.counts()))
        }
        ("seen", [requests]) => {
            let requests = requests.parse().map_err(|_| "how many?".to_owned())?;
            mock.wait_for(requests).await;
            Ok(counts(mock.counts()))
        }
        _ => Err(format!("what is {line:?}?")),
    }
}

impl Player {
    /// Closes all connections; new ones are refused.
    async fn close(&mut self) -> Result<(), String> {
        self.mock.stop().await;
        let refused = Mock::refused_at(self.mock.addr());
        self.closed = Some(refused.map_err(|error| format!("closing: {error}"))?);
        Ok(())
    }

    /// Listens there again; what was counted before is forgotten.
    async fn open(&mut self, script: Script) -> Result<(), String> {
        let mock = Mock::bind(self.mock.addr(), script).await;
        self.mock = mock.map_err(|error| format!("opening: {error}"))?;
        self.closed = None;
        Ok(())
    }
}

fn counts(counts: Counts) -> Value {
    json!({
        "accepted": counts.accepted,
        "answered": counts.answered,
        "cancelled": counts.cancelled,
        "open": counts.open,
        "seen": counts.seen,
    })
}

fn request(seen: &Seen) -> Value {
    let headers: Vec<(String, String)> = seen
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value).into_owned();
            (name.to_ascii_lowercase(), value)
        })
        .collect();
    json!({
        "method": seen.method,
        "target": seen.target,
        "headers": headers,
        "body": seen.json(),
    })
}

/// Scripted providers as a child process. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Players {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Where they are, as the process says.
    pub(crate) places: Value,
}

impl Players {
    /// Starts `mock` with these arguments.
    pub(crate) async fn start(script: &str, seed: u64, more: &[&OsStr]) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("own executable: {error}"))?;
        let mut child = Command::new(own)
            .args(["mock", "--script", script, "--seed", &seed.to_string()])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("mock: {error}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("mock: no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let line = stdout.next_line().await.ok().flatten();
        let line = line.ok_or("the mock process has not started")?;
        let places = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        Ok(Self {
            child,
            stdin,
            stdout,
            places,
        })
    }

    /// Gives it one of its commands; its answer.
    pub(crate) async fn tell(&mut self, command: &str) -> Result<Value, String> {
        let failed = |why: &str| format!("{command:?} to the mock process: {why}");
        let stdin = self.stdin.as_mut().ok_or_else(|| failed("no stdin"))?;
        let sent = stdin.write_all(format!("{command}\n").as_bytes()).await;
        sent.map_err(|error| failed(&error.to_string()))?;
        let line = self.stdout.next_line().await.ok().flatten();
        let line = line.ok_or_else(|| failed("it has ended"))?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| failed(&e.to_string()))?;
        match answer.get("error") {
            Some(why) => Err(failed(&why.to_string())),
            None => Ok(answer),
        }
    }

    /// Returns when it has ended by itself.
    pub(crate) async fn ended(&mut self) -> String {
        while let Ok(Some(_)) = self.stdout.next_line().await {}
        "the mock process has ended".to_owned()
    }

    /// Ends it and waits for that.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        drop(self.stdin.take());
        let ended = self.child.wait().await;
        ended.map_err(|error| format!("mock: {error}")).map(drop)
    }

    /// The same with SIGKILL: it finishes nothing.
    pub(crate) async fn kill(mut self) -> Result<(), String> {
        let killed = self.child.kill().await;
        killed.map_err(|error| format!("mock: {error}"))
    }
}

/// The same with the proxy before them.
#[derive(Debug)]
pub(crate) struct Stage {
    players: Players,
    /// Where clients of the proxy come in.
    pub(crate) listen: SocketAddr,
    /// The proxy's admin port.
    pub(crate) admin: SocketAddr,
    /// The proxy's process.
    pub(crate) pid: u32,
}

impl Stage {
    /// Starts the providers of this script and the proxy before them.
    pub(crate) async fn start(script: &str, seed: u64, standin: &Path) -> Result<Self, String> {
        Self::with(script, seed, standin, None).await
    }

    /// The same, with a ledger there where one is wanted.
    pub(crate) async fn with(
        script: &str,
        seed: u64,
        standin: &Path,
        ledger: Option<&Path>,
    ) -> Result<Self, String> {
        let mut more = vec![OsStr::new("--standin"), standin.as_os_str()];
        more.extend(
            ledger
                .iter()
                .flat_map(|path| [OsStr::new("--ledger"), path.as_os_str()]),
        );
        let players = Players::start(script, seed, &more).await?;
        let proxy = &players.places["standin"];
        let address = |name: &str| proxy[name].as_str().and_then(|at| at.parse().ok());
        let pid = proxy["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        Ok(Self {
            listen: address("listen").ok_or("the mock process does not say where standin is")?,
            admin: address("admin")
                .ok_or("the mock process does not say where its admin port is")?,
            pid: pid.ok_or("the mock process does not say which process standin is")?,
            players,
        })
    }

    /// Gives it one of its commands; its answer.
    pub(crate) async fn tell(&mut self, command: &str) -> Result<Value, String> {
        self.players.tell(command).await
    }

    /// Returns when it has ended by itself.
    pub(crate) async fn ended(&mut self) -> String {
        self.players.ended().await
    }

    /// Ends it and waits for that.
    pub(crate) async fn end(self) -> Result<(), String> {
        self.players.end().await
    }
}
