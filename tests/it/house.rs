//! A running `standin serve` of a test's own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use standin::mock::Mock;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::talk::Talk;

/// How long anything may take before a test counts as hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(came) => came,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "standin-it-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the process has written on standard error.
#[derive(Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Notify,
}

/// A running `standin serve`. Killed when it is dropped.
pub(crate) struct House {
    child: Child,
    lines: Arc<Lines>,
    /// Its configuration's folder.
    pub folder: Folder,
    /// Where clients come in.
    pub at: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

impl House {
    /// Starts it with this configuration; `listen`, `admin` and `log` are
    /// added where they are not there.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::start_with(yaml, |_| {}).await
    }

    /// The same, with more said to the process: its environment, say.
    pub(crate) async fn start_with(yaml: &str, more: impl FnOnce(&mut Command)) -> Self {
        let folder = Folder::new();
        let path = folder.write("standin.yaml", &whole(yaml));
        Self::start_at(folder, &path, more).await
    }

    /// The same with a configuration that is there, and has all that is
    /// added otherwise.
    pub(crate) async fn start_at(
        folder: Folder,
        path: &Path,
        more: impl FnOnce(&mut Command),
    ) -> Self {
        Self::spawn(folder, path, more).serving().await
    }

    /// The same, before it has said anything. Its addresses are not known yet.
    pub(crate) fn spawn(folder: Folder, path: &Path, more: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
        command
            .args(["serve", "-c"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Lines::default());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let into = Arc::clone(&lines);
        #[expect(clippy::disallowed_methods, reason = "ends with the process it reads")]
        tokio::spawn(async move {
            let mut stderr = stderr.lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                into.all.lock().unwrap().push(line);
                into.more.notify_waiters();
            }
        });
        Self {
            child,
            lines,
            folder,
            at: SocketAddr::from(([0; 4], 0)),
            admin: SocketAddr::from(([0; 4], 0)),
        }
    }

    /// Waits until it serves.
    pub(crate) async fn serving(mut self) -> Self {
        self.at = self.address("listening on ").await;
        self.admin = self.address("admin on ").await;
        self
    }

    /// With one provider `NAME` for each mock, and `more` below.
    pub(crate) async fn before(mocks: &[(&str, &Mock)], more: &str) -> Self {
        Self::start(&providers(mocks, more)).await
    }

    /// A connection to the proxy port.
    pub(crate) async fn talk(&self) -> Talk {
        Talk::to(self.at).await
    }

    /// Who answers for a model: its name upstream.
    pub(crate) async fn answering(&self, model: &str) -> String {
        let answer = self.talk().await.chat(&[model], false).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
            .header("x-standin-upstream-model")
            .unwrap()
            .to_owned()
    }

    /// Waits until the log has a line with this in it, and gives the line.
    pub(crate) async fn logged(&self, text: &str) -> String {
        self.logged_again(text, 1).await
    }

    /// Waits until it has so many of them, and gives the last.
    pub(crate) async fn logged_again(&self, text: &str, times: usize) -> String {
        let found = async {
            loop {
                let more = self.lines.more.notified();
                let lines = self.log().into_iter();
                let mut these = lines.filter(|line| line.contains(text));
                if let Some(line) = these.nth(times - 1) {
                    return line;
                }
                more.await;
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => panic!("no line with {text:?} in the log:\n{:#?}", self.log()),
        }
    }

    /// Whether its log has so many of them, when it has or the process has
    /// ended.
    pub(crate) async fn logged_or_ended(&mut self, text: &str, times: usize) -> bool {
        let lines = Arc::clone(&self.lines);
        let has = || {
            let all = lines.all.lock().unwrap();
            all.iter().filter(|line| line.contains(text)).count() >= times
        };
        let found = async {
            loop {
                let more = lines.more.notified();
                if has() {
                    return true;
                }
                tokio::select! {
                    () = more => {}
                    _ = self.child.wait() => return has(),
                }
            }
        };
        soon("its word or its end", found).await
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lines.all.lock().unwrap().clone()
    }

    async fn address(&self, before: &str) -> SocketAddr {
        let line = self.logged(before).await;
        let at = line.split(before).nth(1).unwrap();
        let is_its = |c: char| c.is_ascii_hexdigit() || ".:[]".contains(c);
        at.split(|c| !is_its(c)).next().unwrap().parse().unwrap()
    }

    /// Writes another configuration into its file.
    pub(crate) fn rewrite(&self, yaml: &str) {
        self.folder.write("standin.yaml", &whole(yaml));
    }

    /// Sends it a signal: `TERM`, `HUP`, …
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill")
            .args([format!("-{name}"), pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon("the process's end", self.child.wait()).await.unwrap()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// A configuration with one provider for each mock, `api_key: sk-test-NAME`,
/// and `more` below.
pub(crate) fn providers(mocks: &[(&str, &Mock)], more: &str) -> String {
    let mut yaml = "providers:\n".to_owned();
    for (name, mock) in mocks {
        let url = mock.base_url();
        writeln!(
            yaml,
            "  {name}: {{ base_url: \"{url}\", api_key: sk-test-{name} }}"
        )
        .unwrap();
    }
    yaml + more
}

pub(crate) fn whole(yaml: &str) -> String {
    let mut whole = yaml.to_owned();
    for (key, line) in [
        ("listen:", "listen: 127.0.0.1:0"),
        ("admin:", "admin: 127.0.0.1:0"),
        ("log:", "log: { format: text, level: debug }"),
    ] {
        if !yaml.lines().any(|have| have.starts_with(key)) {
            whole = format!("{line}\n{whole}");
        }
    }
    whole
}
