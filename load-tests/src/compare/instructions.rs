//! `instructions`: how many a request takes in user space, counted under
//! valgrind. Unlike time they hardly depend on what else the machine does.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::binaries::{Binaries, runs};
use super::request::{WELL, chat};
use super::start_provider;
use super::subject::{Setting, Subject};
use crate::folder::Folder;
use crate::line::Line;
use crate::rounds::count;
use crate::{print, say};

/// Requests before they are counted: pools and buffers are warm.
const WARM: u64 = 50;
/// How much more than the reference a request may take. Below it by as much,
/// the reference should be renewed.
const TOLERANCE: f64 = 0.03;
/// What a request should take.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Requests that are counted
    #[arg(long, default_value_t = 1_000)]
    requests: u64,
    /// Write what is found down as the reference
    #[arg(long)]
    renew: bool,
    /// The binary to test; else it is built, in the profile of this one
    #[arg(long, value_name = "PATH")]
    pub(crate) standin: Option<PathBuf>,
}

pub(crate) async fn run(options: &Options, standin: PathBuf) -> Result<(), String> {
    if !runs(Path::new("valgrind"), &["--version"]).await {
        return Err("there is no valgrind: .ci/instructions.sh installs it".to_owned());
    }
    let each = measure(options, standin).await?;
    print(&format!("instructions of a plain chat of 2 KiB: {each:.0}"))?;
    if options.renew {
        let written = std::fs::write(REFERENCE, format!("{each:.0}\n"));
        return written.map_err(|error| format!("{REFERENCE}: {error}"));
    }
    let reference = std::fs::read_to_string(REFERENCE);
    let reference = reference.map_err(|error| format!("{REFERENCE}: {error}"))?;
    let reference: f64 = reference
        .trim()
        .parse()
        .map_err(|error| format!("{REFERENCE}: {error}"))?;
    judge(each, reference)
}

async fn measure(options: &Options, standin: PathBuf) -> Result<f64, String> {
    let folder = Folder::new()?;
    let (provider, _running) = start_provider().await?;
    let binaries = Binaries {
        bare: standin.clone(),
        standin,
        nginx: None,
    };
    let setting = Setting {
        binaries: &binaries,
        provider,
        threads: 1,
        folder: &folder.0,
        places: None,
    };
    let out = folder.0.join("callgrind.out");
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(&out);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--instr-atstart=no"]);
    command.arg(file).arg(&binaries.standin);
    say("starting standin under valgrind");
    let subject = Subject::standin_by(command, &setting).await?;
    let pid = subject
        .processes()
        .first()
        .copied()
        .unwrap_or(0)
        .to_string();
    let request = chat(&[WELL], 2 << 10, "plain 2048");
    let mut line = Line::to(subject.at).await?;
    send(&mut line, &request, WARM).await?;
    counting(&pid, "on").await?;
    send(&mut line, &request, options.requests).await?;
    counting(&pid, "off").await?;
    drop(line);
    subject.drain().await?;
    let told = std::fs::read_to_string(&out);
    let told = told.map_err(|error| format!("{}: {error}", out.display()))?;
    let all = total(&told).ok_or("valgrind tells no total")?;
    Ok(count(all) / count(options.requests.max(1)))
}

async fn send(line: &mut Line, request: &[u8], times: u64) -> Result<(), String> {
    for _ in 0..times {
        let answer = line.exchange(request).await?;
        if answer.status != 200 {
            return Err(format!("{answer:?}"));
        }
    }
    Ok(())
}

async fn counting(pid: &str, state: &str) -> Result<(), String> {
    let told = runs(Path::new("callgrind_control"), &["-i", state, pid]).await;
    told.then_some(())
        .ok_or_else(|| format!("callgrind_control -i {state} {pid} has failed"))
}

/// What a file of callgrind's says of all that it counted.
fn total(told: &str) -> Option<u64> {
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

fn judge(each: f64, reference: f64) -> Result<(), String> {
    let ratio = each / reference;
    if ratio <= 1.0 - TOLERANCE {
        say("fewer than the reference says: renew it with --renew");
    }
    // Also false where it is no number.
    match ratio <= 1.0 + TOLERANCE {
        true => Ok(()),
        false => Err(format!(
            "FAIL\n{ratio:.3} times the reference of {reference:.0}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_fails_and_less_does_not() {
        assert!(judge(102_900.0, 100_000.0).is_ok());
        assert!(judge(50_000.0, 100_000.0).is_ok());
        assert!(judge(103_100.0, 100_000.0).is_err());
        assert!(judge(f64::NAN, 100_000.0).is_err());
    }

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nfn=(1)\n\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
