//! What is measured: a proxy's processes, or none where the provider is asked
//! directly.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::binaries::Binaries;
use super::machine;
use super::script::{COOLING, ERRS, LIMITED};
use crate::figures;

/// Columns of the table.
pub(super) const DIRECT: &str = "direct";
pub(super) const NGINX: &str = "nginx";
pub(super) const BARE: &str = "bare pingora";
pub(super) const STANDIN: &str = "standin";

/// Within this time a process is ready, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that a proxy keeps to the provider: more than clients come.
const KEPT: usize = 512;

/// One of those that are compared.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// Where it takes requests.
    pub(super) at: SocketAddr,
    child: Option<Child>,
    /// From its start until it was ready.
    pub(super) ready: Duration,
}

/// What a run compares with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) provider: SocketAddr,
    /// Of each proxy.
    pub(super) threads: usize,
    /// Of temporary files.
    pub(super) folder: &'a Path,
    /// The proxies' cores and everybody else's, where they are kept apart.
    pub(super) places: Option<&'a (Range<usize>, Range<usize>)>,
}

/// What can be started anew.
pub(super) const PROXIES: [&str; 3] = [NGINX, BARE, STANDIN];

impl Subject {
    /// The provider itself, with nothing before it.
    pub(super) fn direct(setting: &Setting<'_>) -> Self {
        Self {
            name: DIRECT,
            at: setting.provider,
            child: None,
            ready: Duration::ZERO,
        }
    }

    /// One of [`PROXIES`]; none where there is no nginx.
    pub(super) async fn named(
        name: &'static str,
        setting: &Setting<'_>,
    ) -> Result<Option<Self>, String> {
        match name {
            NGINX => Self::nginx(setting).await,
            BARE => Self::bare(setting).await.map(Some),
            _ => Self::standin(setting).await.map(Some),
        }
    }

    async fn bare(setting: &Setting<'_>) -> Result<Self, String> {
        let at = machine::address()?;
        let words = [at, setting.provider].map(|at| at.to_string());
        let mut command = Command::new(&setting.binaries.bare);
        command.args(words).arg(setting.threads.to_string());
        Self::start(BARE, command, at, None, setting).await
    }

    async fn nginx(setting: &Setting<'_>) -> Result<Option<Self>, String> {
        let Some(binary) = &setting.binaries.nginx else {
            return Ok(None);
        };
        let at = machine::address()?;
        let folder = setting.folder.join("nginx");
        std::fs::create_dir_all(&folder).map_err(|error| format!("nginx: {error}"))?;
        let conf = nginx_conf(at, setting.provider, setting.threads, &folder);
        let path = write(&folder, "nginx.conf", &conf)?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(path).arg("-p").arg(&folder);
        command.arg("-e").arg(folder.join("error.log"));
        let subject = Self::start(NGINX, command, at, None, setting).await?;
        Ok(Some(subject))
    }

    async fn standin(setting: &Setting<'_>) -> Result<Self, String> {
        let command = Command::new(&setting.binaries.standin);
        Self::standin_by(command, setting).await
    }

    /// Standin, run by what this command begins with.
    pub(super) async fn standin_by(
        mut command: Command,
        setting: &Setting<'_>,
    ) -> Result<Self, String> {
        let (at, admin) = (machine::address()?, machine::address()?);
        let ledger = setting.folder.join(format!("usage-{}.db", at.port()));
        let conf = standin_conf(at, admin, setting.provider, setting.threads, &ledger);
        let path = write(setting.folder, "standin.yaml", &conf)?;
        command.args(["serve", "-c"]).arg(path);
        Self::start(STANDIN, command, at, Some(admin), setting).await
    }

    /// Its standard error goes to a file, as a log does.
    async fn start(
        name: &'static str,
        mut command: Command,
        at: SocketAddr,
        admin: Option<SocketAddr>,
        setting: &Setting<'_>,
    ) -> Result<Self, String> {
        let failed = |why: &str| format!("{name}: {why}");
        let log = setting.folder.join(format!("{name}.log"));
        let mut options = std::fs::OpenOptions::new();
        // What is at the end stays there when the file is emptied.
        let file = options.append(true).create(true).open(&log);
        let file = file.map_err(|error| failed(&error.to_string()))?;
        // A process is bound to the cores of the thread that starts it.
        if let Some((proxies, _)) = setting.places {
            machine::keep_to(proxies.clone())?;
        }
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .kill_on_drop(true)
            .spawn();
        if let Some((_, others)) = setting.places {
            machine::keep_to(others.clone())?;
        }
        let child = child.map_err(|error| failed(&error.to_string()))?;
        let ready = timeout(PATIENCE, async {
            while !is_ready(admin.unwrap_or(at), admin.is_some()).await {
                sleep(Duration::from_millis(1)).await;
            }
        });
        if ready.await.is_err() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(failed(&format!("not ready within {PATIENCE:?}\n{said}")));
        }
        Ok(Self {
            name,
            at,
            child: Some(child),
            ready: began.elapsed(),
        })
    }

    /// Its processes: what was started, and what that has started.
    pub(super) fn processes(&self) -> Vec<u32> {
        let first = self.child.as_ref().and_then(Child::id);
        let more = first.into_iter().flat_map(|first| {
            let path = format!("/proc/{first}/task/{first}/children");
            let children = std::fs::read_to_string(path).unwrap_or_default();
            let children = children.split_whitespace();
            let children: Vec<u32> = children.filter_map(|child| child.parse().ok()).collect();
            children
        });
        first.into_iter().chain(more).collect()
    }

    /// Ends it and waits for that.
    pub(super) async fn end(mut self) -> Result<(), String> {
        self.kill();
        if let Some(mut child) = self.child.take() {
            let ended = child.wait().await;
            ended.map_err(|error| format!("{}: {error}", self.name))?;
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has done what it does then.
    pub(super) async fn drain(mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pid = child.id().and_then(|pid| pid.try_into().ok());
        let pid = pid.ok_or_else(|| format!("{}: it has ended", self.name))?;
        let told = kill(Pid::from_raw(pid), Signal::SIGTERM);
        told.map_err(|error| format!("{}: {error}", self.name))?;
        let ended = timeout(PATIENCE, child.wait()).await;
        let ended = ended.map_err(|_| format!("{}: it does not end", self.name))?;
        ended.map_err(|error| format!("{}: {error}", self.name))?;
        Ok(())
    }

    fn kill(&self) {
        for pid in self.processes() {
            let pid = Pid::from_raw(pid.try_into().unwrap_or(0));
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Subject {
    /// The workers of nginx do not end with their master.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time of these processes so far.
pub(super) fn processor(processes: &[u32]) -> Result<Duration, String> {
    processes.iter().map(|pid| figures::threads(*pid)).sum()
}

/// Resident memory of these processes, in KiB.
pub(super) fn memory(processes: &[u32]) -> Result<u64, String> {
    processes.iter().map(|pid| figures::memory(*pid)).sum()
}

/// The most that these processes have ever had resident, in KiB.
pub(super) fn most_memory(processes: &[u32]) -> Result<u64, String> {
    processes.iter().map(|pid| figures::most_memory(*pid)).sum()
}

/// Whether somebody answers there; where `asked`, also that it is ready.
async fn is_ready(at: SocketAddr, asked: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect(at).await else {
        return false;
    };
    if !asked {
        return true;
    }
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    asked.await.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

fn write(folder: &Path, name: &str, text: &str) -> Result<std::path::PathBuf, String> {
    let path = folder.join(name);
    let written = std::fs::write(&path, text);
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// As shipped, with a ledger. What fails is forgotten after a millisecond, so
/// that it is really asked again; nothing else fails here.
fn standin_conf(
    at: SocketAddr,
    admin: SocketAddr,
    provider: SocketAddr,
    threads: usize,
    ledger: &Path,
) -> String {
    let failing = [LIMITED, COOLING, ERRS].map(|name| {
        format!("  {name}: {{ base_url: \"http://{provider}/{name}/v1\", api_key: sk-{name} }}\n")
    });
    format!(
        "listen: {at}\nadmin: {admin}\nthreads: {threads}\n\
         log: {{ format: json, level: info }}\n\
         ledger: {{ path: {ledger:?} }}\n\
         health: {{ cooldown: 1ms, max_cooldown: 1ms }}\n\
         models:\n  \
           mock/gpt-4o-mini: {{ price: {{ input: 0.15, cached_input: 0.075, output: 0.60 }} }}\n\
         providers:\n  mock: {{ base_url: \"http://{provider}/v1\", api_key: sk-mock }}\n{}",
        failing.concat()
    )
}

/// `proxy_pass` with kept connections, as one would set it up for streams.
fn nginx_conf(at: SocketAddr, provider: SocketAddr, threads: usize, folder: &Path) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off;\nuser root;\nworker_processes {threads};\nworker_rlimit_nofile 65536;\n\
         pid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\n\
         events {{ worker_connections 32768; }}\n\
         http {{\n  access_log off;\n{temporary}  \
           client_max_body_size 64m;\n  client_body_buffer_size 128k;\n  \
           keepalive_requests 1000000000;\n  \
           upstream provider {{ server {provider}; keepalive {KEPT}; \
             keepalive_requests 1000000000; }}\n  \
           server {{\n    listen {at} backlog=4096;\n    location / {{\n      \
             proxy_pass http://provider;\n      proxy_http_version 1.1;\n      \
             proxy_set_header Connection \"\";\n      proxy_buffering off;\n    }}\n  }}\n}}\n"
    )
}
