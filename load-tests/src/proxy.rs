//! The `standin` process under test: its binary, its start, its addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::{figures, say};

/// A running `standin serve`, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// Where clients come in.
    pub(crate) listen: SocketAddr,
    /// The admin port.
    pub(crate) admin: SocketAddr,
    /// Its process id.
    pub(crate) pid: u32,
}

impl Proxy {
    /// Starts it with this configuration and waits until it listens.
    pub(crate) async fn start(binary: &Path, yaml: &str) -> Result<Self, String> {
        // A pipe is a file too, and leaves nothing behind.
        Self::with(Command::new(binary), Path::new("/dev/stdin"), yaml).await
    }

    /// The same with a configuration that is in a file.
    pub(crate) async fn start_at(binary: &Path, path: &Path) -> Result<Self, String> {
        Self::start_by(Command::new(binary), path).await
    }

    /// The same by another command, which becomes the binary.
    pub(crate) async fn start_by(command: Command, path: &Path) -> Result<Self, String> {
        Self::with(command, path, "").await
    }

    async fn with(mut command: Command, path: &Path, yaml: &str) -> Result<Self, String> {
        let name = PathBuf::from(command.as_std().get_program());
        let failed = |what: &str| format!("{}: {what}", name.display());
        let mut child = command
            .args(["serve", "-c"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let mut stdin = child.stdin.take().ok_or_else(|| failed("no stdin"))?;
        let written = stdin.write_all(yaml.as_bytes()).await;
        written.map_err(|error| failed(&error.to_string()))?;
        drop(stdin);
        let stderr = child.stderr.take().ok_or_else(|| failed("no stderr"))?;
        let mut log = BufReader::new(stderr).lines();
        let listen = address(&mut log, "listening on ").await?;
        let admin = address(&mut log, "admin on ").await?;
        let pid = child.id().ok_or_else(|| failed("it has ended"))?;
        Ok(Self {
            child,
            log,
            listen,
            admin,
            pid,
        })
    }

    /// Reads its log, so that it never waits for a reader, and hands warnings
    /// on; returns when it has ended, which it should not.
    pub(crate) async fn ended(&mut self) -> String {
        let tell = |line: &str| {
            if is_news(line) {
                say(&format!("standin: {line}"));
            }
        };
        match self.watched(tell).await {
            Ok(status) => format!("standin ended: {status}"),
            Err(error) => error,
        }
    }

    /// Shows each line of its log until it has ended; how it did.
    pub(crate) async fn watched(
        &mut self,
        mut look: impl FnMut(&str),
    ) -> Result<ExitStatus, String> {
        while let Ok(Some(line)) = self.log.next_line().await {
            look(&line);
        }
        let ended = self.child.wait().await;
        ended.map_err(|error| format!("standin cannot be waited for: {error}"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        figures::signal(self.pid, signal)
    }
}

/// Whether a line of the log is a warning, other than that something fails
/// which was told to fail.
fn is_news(line: &str) -> bool {
    let is_warning = line.contains(" WARN ") || line.contains(" ERROR ");
    let is_state = line.contains(" is cooling for ") || line.contains(" is open for ");
    is_warning && !is_state
}

async fn address(
    log: &mut Lines<BufReader<ChildStderr>>,
    before: &str,
) -> Result<SocketAddr, String> {
    let mut read = Vec::new();
    while let Ok(Some(line)) = log.next_line().await {
        if let Some((_, at)) = line.split_once(before)
            && let Ok(at) = at.trim().parse()
        {
            return Ok(at);
        }
        read.push(line);
    }
    Err(format!("standin did not start:\n{}", read.join("\n")))
}

/// The binary to test: the one that was named, else the one beside this
/// program, built first. Cargo builds only what a program depends on, so one
/// that lies there may be missing, or older than the source.
pub(crate) async fn binary(named: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path);
    }
    let own = std::env::current_exe().map_err(|error| format!("own executable: {error}"))?;
    let folder = own.parent().ok_or("own executable has no folder")?;
    let path = folder.join("standin");
    let built = build(folder).await;
    match built {
        Ok(()) => Ok(path),
        Err(why) if path.exists() => {
            say(&format!("{why}; testing {} as it is", path.display()));
            Ok(path)
        }
        Err(why) => Err(format!(
            "there is no {} and it cannot be built: {why}",
            path.display()
        )),
    }
}

async fn build(folder: &Path) -> Result<(), String> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => return Err(format!("{} is no target folder", folder.display())),
    };
    let target = folder.parent().ok_or("no target folder")?;
    say(&format!(
        "building standin in profile {profile}, where it is not up to date"
    ));
    cargo_build(target, &["--bin", "standin", "--profile", profile]).await
}

/// Has cargo build these of our binaries below that folder.
pub(crate) async fn cargo_build(target: &Path, what: &[&str]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What `cargo run` says of this package would have crates built anew whose
    // scripts look at it.
    let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    for (name, _) in std::env::vars_os() {
        let name_of = name.as_encoded_bytes();
        if ours.iter().any(|ours| name_of.starts_with(ours.as_bytes())) {
            command.env_remove(name);
        }
    }
    let status = command
        .args(["build", "--quiet"])
        .args(what)
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| format!("cargo: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("cargo build: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_state_are_no_news_and_other_warnings_are() {
        assert!(is_news("2026-01-01 WARN standin: nobody reads this socket"));
        assert!(!is_news(
            "2026-01-01 WARN standin: target a/m is open for 5 ms: reset"
        ));
        assert!(!is_news("2026-01-01 INFO standin: drained"));
    }
}
