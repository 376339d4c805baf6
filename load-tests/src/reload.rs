//! `reload`: the configuration is swapped again and again while many clients
//! ask, and nobody notices.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use standin::mock::{Mock, Reply, Script, Seen};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::ask::{Ask, WORDS};
use crate::crowd::{Crowd, Sample, wrong};
use crate::figures;
use crate::folder::Folder;
use crate::line::Line;
use crate::modes::{MODE, WELL};
use crate::proxy::Proxy;
use crate::table::{Table, verdict};
use crate::tally::Memory;
use crate::{print, say};

/// The candidates, in the order of the list: the first is rate limited for
/// the whole run, the second fails, the third answers.
const LIST: [&str; 3] = ["limited/m", "failing/m", "steady/m"];

/// For so long the first one says that it is limited.
const LIMITED: &str = "86400";

/// How long the second one takes to fail: reloads come within a request.
const THINKS: Duration = Duration::from_millis(5);

/// What it fails with says nothing of it, so it is asked again by the next.
const REJECTED: &str = r#"{"error":{"message":"no","type":"invalid_request_error"}}"#;

/// So many names the models have upstream, in turn: what is known of a model
/// is kept for a while when no configuration names it any more.
const VERSIONS: u64 = 16;

/// One of so many configurations is wrong.
const WRONG_EACH: u64 = 10;

/// How long one reload may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) reloads: u64,
    pub(crate) connections: usize,
    pub(crate) seed: u64,
}

/// What came to pass.
#[derive(Debug, Default)]
struct Found {
    samples: Vec<Sample>,
    accepted: u64,
    rejected: u64,
    /// Results of reloads that were not as they should be.
    odd: Vec<String>,
    /// How often the limited provider was asked …
    limited: u64,
    /// … and by how many clients it can have been, before it was known.
    connections: u64,
    /// How many names upstream have answered.
    versions: u64,
    memory: Memory,
    seconds: f64,
    longest: Duration,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    let found = LocalSet::new()
        .run_until(observe(options, &standin))
        .await?;
    print(&found.table().to_string())?;
    verdict(found.violations())
}

/// The providers, and what they have found out together.
struct Stage {
    limited: Mock,
    failing: Mock,
    steady: Mock,
    versions: Arc<Mutex<Versions>>,
}

/// Under which version of the configuration requests came to the providers.
#[derive(Default)]
struct Versions {
    /// Of those that the second candidate has failed, by their ids.
    failed: HashMap<String, String>,
    /// Of all that were answered.
    answered: HashSet<String>,
}

/// The version stands in the provider's own name of the model.
fn version(seen: &Seen) -> (String, String) {
    let name = |name: Option<&str>| name.unwrap_or_default().to_owned();
    (name(seen.test_id()), name(seen.model()))
}

impl Stage {
    async fn start() -> Result<Self, String> {
        let versions = Arc::<Mutex<Versions>>::default();
        let notes = Arc::clone(&versions);
        let failing = Script::new(move |seen| {
            let (id, version) = version(seen);
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.failed.insert(id, version);
            Reply::json(400, REJECTED).after(THINKS)
        });
        let notes = Arc::clone(&versions);
        let steady = Script::new(move |seen| {
            let (id, version) = version(seen);
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let mode = match notes.failed.remove(&id) == Some(version.clone()) {
                true => WELL,
                false => "of two configurations",
            };
            notes.answered.insert(version);
            Reply::answer(WORDS).echo().header(MODE, mode)
        });
        let limited = Script::from(Reply::rate_limited(Some(LIMITED)));
        Ok(Self {
            limited: start(limited).await?,
            failing: start(failing).await?,
            steady: start(steady).await?,
            versions,
        })
    }

    /// The configuration of this number. Each has other models upstream and
    /// another set of addresses; some are wrong.
    fn yaml(&self, number: u64) -> String {
        let listen = match number % 3 {
            0 => "127.0.0.1:0",
            1 => "[127.0.0.1:0, 127.0.0.2:0]",
            _ => "[127.0.0.1:0, 127.0.0.2:0, 127.0.0.3:0]",
        };
        let mut yaml = format!(
            "listen: {listen}\nadmin: 127.0.0.1:0\nlog: {{ format: text, level: info }}\n\
             providers:\n"
        );
        for (name, mock) in [
            ("limited", &self.limited),
            ("failing", &self.failing),
            ("steady", &self.steady),
        ] {
            let url = mock.base_url();
            yaml += &format!("  {name}: {{ base_url: \"{url}\", api_key: sk-mock-{name} }}\n");
        }
        let version = number % VERSIONS;
        yaml += &format!(
            "models:\n  limited/m: {{}}\n  failing/m: {{ upstream_model: v{version} }}\n  \
             steady/m: {{ upstream_model: v{version} }}\n"
        );
        if is_wrong(number) {
            yaml += "nonsense: 1\n";
        }
        yaml
    }
}

fn is_wrong(number: u64) -> bool {
    number % WRONG_EACH == WRONG_EACH - 1
}

async fn start(script: Script) -> Result<Mock, String> {
    let mock = Mock::start(script.remember(0)).await;
    mock.map_err(|error| format!("mock: {error}"))
}

async fn observe(options: &Options, standin: &Path) -> Result<Found, String> {
    let folder = Folder::new()?;
    let path = folder.0.join("standin.yaml");
    let stage = Stage::start().await?;
    let write = |number| {
        let written = std::fs::write(&path, stage.yaml(number));
        written.map_err(|error| format!("{}: {error}", path.display()))
    };
    write(0)?;
    let mut proxy = Proxy::start_at(standin, &path).await?;
    let (listen, admin, pid) = (proxy.listen, proxy.admin, proxy.pid);
    let seed = options.seed;
    let mut crowd = Crowd::new(listen, move |number| {
        Ask::drawn(seed, number, LIST.map(str::to_owned).into())
    });
    crowd.start(options.connections);
    let mut found = Found {
        connections: u64::try_from(options.connections).unwrap_or(u64::MAX),
        ..Found::default()
    };
    found.memory.start = figures::memory(pid)?;
    let swaps = async {
        let mut line = Line::to(admin).await?;
        for number in 1..=options.reloads {
            write(number)?;
            let began = crowd.now();
            let status = timeout(PATIENCE, reload(&mut line, admin)).await;
            let status = status.map_err(|_| "a reload hangs".to_owned())??;
            found.longest = found.longest.max(crowd.now().saturating_sub(began));
            match (status, is_wrong(number)) {
                (200, false) => found.accepted += 1,
                (422, true) => found.rejected += 1,
                (other, _) => found.odd.push(format!("reload {number}: status {other}")),
            }
            let now = figures::memory(pid)?;
            found.memory.peak = found.memory.peak.max(now);
            if found.memory.warm == 0 && number * 10 >= options.reloads {
                found.memory.warm = now;
            }
            if number * 10 % options.reloads < 10 {
                say(&format!("{number} reloads, {now} KiB"));
            }
            // A few requests under each.
            if !crowd.sees(8, |_| true, PATIENCE).await {
                found
                    .odd
                    .push(format!("reload {number}: nobody is answered"));
                break;
            }
        }
        Ok::<_, String>(())
    };
    tokio::select! {
        done = swaps => done?,
        why = proxy.ended() => return Err(why),
    }
    crowd.stop().await;
    // What the last requests needed is given back.
    sleep(Duration::from_secs(1)).await;
    found.memory.end = figures::memory(pid)?;
    found.seconds = crowd.now().as_secs_f64();
    found.samples = crowd.take();
    found.limited = stage.limited.counts().seen;
    let notes = stage
        .versions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    found.versions = u64::try_from(notes.answered.len()).unwrap_or(u64::MAX);
    drop(notes);
    Ok(found)
}

async fn reload(line: &mut Line, admin: SocketAddr) -> Result<u16, String> {
    let request = format!("POST /-/reload HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\n\r\n");
    let answer = line.exchange(request.as_bytes()).await?;
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let said = body["error"]["message"].as_str().unwrap_or_default();
    if answer.status != 200 && !said.contains("nonsense") {
        say(said);
    }
    Ok(answer.status)
}

impl Found {
    fn violations(&self) -> Vec<String> {
        let mut found = wrong(self.samples.iter());
        found.extend(self.odd.iter().take(3).cloned());
        let mut require = |right: bool, what: String| {
            if !right {
                found.push(what);
            }
        };
        require(
            (1..=self.connections).contains(&self.limited),
            format!(
                "the limited provider was asked {} times by {} clients: what was known of it is lost",
                self.limited, self.connections
            ),
        );
        let versions = self.accepted.min(VERSIONS);
        require(
            self.versions > versions / 2,
            format!("only {} of {versions} have answered", self.versions),
        );
        found.extend(self.memory.grows());
        found
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row("reloads accepted", self.accepted);
        table.row("  rejected, as they are wrong", self.rejected);
        let longest = self.longest.as_secs_f64() * 1e3;
        table.row("  the longest took", format!("{longest:.1} ms"));
        table.row("clients", self.connections);
        table.row("requests", self.samples.len());
        let right = self.samples.iter().filter(|one| one.walk.is_ok()).count();
        table.row("  answered right", right);
        table.row("  under names upstream", self.versions);
        table.row("the limited provider was asked", self.limited);
        table.row("wall time", format!("{:.1} s", self.seconds));
        let memory = self.memory;
        table.row("RSS of standin, start", format!("{} KiB", memory.start));
        table.row("  after 10 %", format!("{} KiB", memory.warm));
        table.row("  peak", format!("{} KiB", memory.peak));
        table.row("  end", format!("{} KiB", memory.end));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Walk;

    fn good() -> Found {
        let walk = "limited/m=skipped:cooling, failing/m=400, steady/m=200";
        Found {
            samples: vec![Sample {
                number: 1,
                began: Duration::ZERO,
                ended: Duration::ZERO,
                walk: Walk::read(walk),
            }],
            accepted: 9,
            rejected: 1,
            limited: 4,
            connections: 8,
            versions: 9,
            ..Found::default()
        }
    }

    #[test]
    fn a_run_that_nobody_noticed_passes() {
        assert_eq!(good().violations(), Vec::<String>::new());
    }

    #[test]
    fn each_way_of_going_wrong_is_a_violation() {
        let wrongs: [fn(&mut Found); 6] = [
            |found| found.samples[0].walk = Err("status 502".to_owned()),
            |found| found.odd.push("reload 3: status 422".to_owned()),
            |found| found.limited = 9,
            |found| found.limited = 0,
            |found| found.versions = 2,
            |found| found.memory.end = 1 << 30,
        ];
        for (nth, spoil) in wrongs.iter().enumerate() {
            let mut found = good();
            spoil(&mut found);
            assert_eq!(found.violations().len(), 1, "{nth}");
        }
    }
}
