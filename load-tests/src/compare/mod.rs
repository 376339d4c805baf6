//! `compare`: Standin beside the provider itself, nginx and a bare pingora
//! proxy, all in one run and in turn, so that what else the machine has to do
//! weighs on all alike.

mod answer;
mod bench;
mod binaries;
mod goals;
pub(crate) mod instructions;
mod load;
mod machine;
mod metric;
mod provider;
mod request;
mod scenario;
mod script;
mod sheet;
mod subject;
mod turn;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use self::bench::Bench;
use self::binaries::Binaries;
use self::sheet::Sheet;
use self::subject::{PROXIES, Setting, Subject};
use crate::folder::Folder;
use crate::table::verdict;
use crate::{print, say};

pub(crate) use self::provider::serve;

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these scenarios; else all but the soak
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Fewer and shorter rounds: below five minutes in all
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement; 15, or 5 where it is quick
    #[arg(long)]
    rounds: Option<usize>,
    /// Connections of the closed loop
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Threads of each proxy; as many as it has cores
    #[arg(long)]
    threads: Option<usize>,
    /// Let proxies, provider and load share all cores
    #[arg(long)]
    no_pin: bool,
    /// Streams that are open at the same time, where their memory is measured
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// How long the soak goes on
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Fail where there is no nginx
    #[arg(long)]
    require_nginx: bool,
    /// Fail where an aim is missed or not measured as it should be
    #[arg(long)]
    strict: bool,
    /// Also write everything there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The binary to test; else it is built as it ships
    #[arg(long, value_name = "PATH")]
    standin: Option<PathBuf>,
}

pub(crate) async fn run(options: Options) -> Result<(), String> {
    let chosen = scenario::chosen(&options.scenario)?;
    let files = machine::raise_files()?;
    let binaries = Binaries::ready(options.standin.clone()).await?;
    if options.require_nginx && binaries.nginx.is_none() {
        return Err("there is no nginx, and it cannot be fetched".to_owned());
    }
    let cores = machine::cores();
    // The proxies have the first half of the cores, load and provider the
    // others: they do not take time from each other.
    let half = (cores / 2).max(1);
    let is_pinned = !options.no_pin && cores > 1;
    let threads = options
        .threads
        .unwrap_or(if is_pinned { half } else { cores });
    let folder = Folder::new()?;
    let places = is_pinned.then_some((0..half, half..cores));
    if let Some((_, others)) = &places {
        machine::keep_to(others.clone())?;
    }
    let (provider, _running) = start_provider().await?;
    let setting = Setting {
        binaries: &binaries,
        provider,
        threads,
        folder: &folder.0,
        places: places.as_ref(),
    };
    let (warm, measure, rounds) = match options.quick {
        true => (200, 500, 5),
        false => (500, 1_500, 15),
    };
    let mut bench = Bench {
        subjects: vec![Subject::direct(&setting)],
        sheet: Sheet::default(),
        rounds: options.rounds.unwrap_or(rounds),
        connections: options.connections,
        warm: Duration::from_millis(warm),
        measure: Duration::from_millis(measure),
        cores: places.as_ref().map(|(_, others)| others.clone()),
        streams: machine::streams(options.streams, files),
        minutes: options.minutes,
        folder: folder.0.clone(),
    };
    if bench.streams < options.streams && chosen.contains(&scenario::STREAMS) {
        let (wanted, most) = (options.streams, bench.streams);
        let why = format!("{wanted} streams need more than {files} open files: {most} instead");
        say(&why);
        bench.sheet.fault(why);
    }
    for name in PROXIES {
        match Subject::named(name, &setting).await? {
            Some(subject) => bench.subjects.push(subject),
            None => bench.sheet.remark(format!("{name}: not there")),
        }
    }
    let about = format!(
        "{}\n{threads} threads in each proxy, {}, {} rounds, load at the start {}",
        machine::description(cores),
        match is_pinned {
            true => format!(
                "on {half} cores; load and provider on the other {}",
                cores - half
            ),
            false => "on all cores, as load and provider are".to_owned(),
        },
        bench.rounds,
        machine::busy(),
    );
    print(&about)?;
    let began = Instant::now();
    for name in &chosen {
        say(&format!("{name} …"));
        scenario::run(name, &mut bench, &setting).await?;
        print(&format!("\n{}", bench.sheet.block(name).trim_end()))?;
    }
    for remark in bench.sheet.remarks() {
        print(&format!("note: {remark}"))?;
    }
    let took = began.elapsed().as_secs();
    print(&format!(
        "\ntook {took} s, load at the end {}",
        machine::busy()
    ))?;
    let missed = bench.sheet.missed(&chosen);
    if let Some(path) = &options.json {
        let mut all = bench.sheet.json(&chosen);
        all["about"] = about.into();
        all["options"] = json!({
            "threads": threads, "pinned": is_pinned, "rounds": bench.rounds,
            "connections": bench.connections, "seconds": took,
        });
        let written = std::fs::write(path, format!("{all:#}\n"));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for subject in bench.subjects {
        subject.end().await?;
    }
    match options.strict {
        true => verdict(missed),
        false => Ok(()),
    }
}

/// The provider, in a process of its own that ends with this one.
async fn start_provider() -> Result<(SocketAddr, Child), String> {
    let failed = |why: String| format!("provider: {why}");
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let at = machine::address()?;
    let child = Command::new(own)
        .args(["lean-provider", "--port", &at.port().to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    for _ in 0..1_000 {
        if tokio::net::TcpStream::connect(at).await.is_ok() {
            return Ok((at, child));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Err(failed("it does not listen".to_owned()))
}
