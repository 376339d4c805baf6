//! Drives the real `standin` binary against scripted providers, and requires
//! that every single answer is right.
//!
//! `chaos` makes candidates fail in every way, `faults` all else too; `burst`, `outage` and `skip`
//! look at what the proxy remembers of that; `ledger` at what it costs to write
//! usage down; `reload` swaps the configuration all the while; `mock` runs the providers (and,
//! where asked for, the proxy before them) as a process of its own, for these,
//! for the SDK tests and for people.

mod ask;
mod burst;
mod chaos;
mod client;
mod compare;
mod crowd;
mod faults;
mod figures;
mod folder;
mod ledger;
mod line;
mod modes;
mod outage;
mod proxy;
mod reload;
mod rounds;
mod scene;
mod skip;
mod stage;
mod status;
mod table;
mod tally;
mod verdict;
mod walk;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Load tests of Standin, on loopback only.
#[derive(Debug, Parser)]
#[command(name = "load-tests", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Limits the first candidate's rate for a while; fails if it is asked
    /// before that has passed, or by more than one probe then
    Burst {
        /// How many requests while it is limited
        #[arg(long, default_value_t = 10_000)]
        requests: u64,
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// For how many seconds it is limited
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// What the dice start from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Sends requests while two of three candidates fail in every way there
    /// is; fails if a single answer is not the third one's, whole and right
    Chaos {
        /// How many requests
        #[arg(long, default_value_t = 100_000)]
        requests: u64,
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// What the dice start from: the same seed fails the same way
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// With live state as it is by default: failing candidates are mostly
        /// passed over, and every request is answered all the same
        #[arg(long)]
        live_state: bool,
        /// Give up after so many seconds
        #[arg(long, default_value_t = 900)]
        deadline: u64,
        /// Print one JSON object instead of the table
        #[arg(long)]
        json: bool,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Measures Standin beside nginx, a bare pingora proxy and the provider
    /// itself, all in one run
    Compare(compare::Options),
    /// Kills providers, cuts answers at every byte, delays them, changes
    /// addresses, fills the disk and reloads, all under load; fails if a
    /// request is neither answered nor visibly cut, if one hangs or is lost,
    /// or if memory grows
    Faults {
        /// For how many minutes
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// What the dice start from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Kills standin itself again and again instead
        #[arg(long)]
        deaths: bool,
        /// Print one JSON object instead of the table
        #[arg(long)]
        json: bool,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Counts the instructions of a request under valgrind; fails where they
    /// are more than the reference says
    Instructions(compare::instructions::Options),
    /// The provider behind `compare`
    #[command(hide = true)]
    LeanProvider {
        /// Where it listens on loopback
        #[arg(long)]
        port: u16,
    },
    /// Measures what it costs to write usage down, beside a proxy without a
    /// ledger; fails if that is more than 15 % of a request's processor time,
    /// or 30 us of its time
    Ledger {
        /// How many clients at the same time, each on one connection, where
        /// processor time is measured
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// Rounds of each side and kind of request
        #[arg(long, default_value_t = 40)]
        rounds: usize,
        /// Seconds of the proxy's processor time in each round
        #[arg(long, default_value_t = 0.25)]
        seconds: f64,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Runs scripted providers until standard input ends; prints where they
    /// are as one line of JSON, then answers commands (see load-tests/README.md)
    Mock {
        /// What they do: `chaos`, `chaos-live`, `faults/PROVIDER`, `live`, `outage`, `priced`, `sdk` or `watch`
        #[arg(long)]
        script: String,
        /// Where they listen
        #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
        host: Ipv4Addr,
        /// The first one's port, the others' follow; 0: any
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// What the dice start from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Also runs this `standin` binary before them
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
        /// Where that one writes usage down
        #[arg(long, value_name = "PATH")]
        ledger: Option<PathBuf>,
    },
    /// Kills the first provider under load, in two ways, and brings it back;
    /// fails if it is asked while it is known to be dead, but for probes
    Outage {
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// What the dice start from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Swaps the configuration again and again under load, addresses and all;
    /// fails if a single request notices, if what is known of a provider is
    /// lost, or if memory grows
    Reload {
        /// How many configurations
        #[arg(long, default_value_t = 1_000)]
        reloads: u64,
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// What the dice start from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
    /// Measures what it costs to pass over the first candidate; fails if that
    /// is more than a twentieth of a request that names only the second
    Skip {
        /// How many clients at the same time, each on one connection
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// Rounds of each kind of request and size of body
        #[arg(long, default_value_t = 150)]
        rounds: usize,
        /// Seconds of the proxy's processor time in each round
        #[arg(long, default_value_t = 0.05)]
        seconds: f64,
        /// The binary to test; else it is built, in the profile of this one
        #[arg(long, value_name = "PATH")]
        standin: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(Arguments::parse().command)),
        Err(error) => Err(format!("runtime: {error}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// Runs until the work is done or somebody wants it to end. Processes that
/// were started end when this one's handles are dropped, whatever the reason.
async fn run(command: Command) -> Result<(), String> {
    let work = async {
        match command {
            Command::Burst {
                requests,
                connections,
                seconds,
                seed,
                standin,
            } => {
                let options = burst::Options {
                    requests,
                    connections,
                    seed,
                    seconds,
                };
                burst::run(&options, proxy::binary(standin).await?).await
            }
            Command::Chaos {
                requests,
                connections,
                seed,
                live_state,
                deadline,
                json,
                standin,
            } => {
                let options = chaos::Options {
                    requests,
                    connections,
                    seed,
                    live_state,
                    deadline: Duration::from_secs(deadline),
                    json,
                };
                chaos::run(&options, proxy::binary(standin).await?).await
            }
            Command::Compare(options) => compare::run(options).await,
            Command::Faults {
                minutes,
                connections,
                seed,
                deaths,
                json,
                standin,
            } => {
                let time = Duration::try_from_secs_f64(minutes * 60.0);
                let options = faults::Options {
                    time: time.map_err(|error| format!("--minutes: {error}"))?,
                    connections,
                    seed,
                    deaths,
                    json,
                };
                faults::run(&options, proxy::binary(standin).await?).await
            }
            Command::Instructions(options) => {
                let standin = proxy::binary(options.standin.clone()).await?;
                compare::instructions::run(&options, standin).await
            }
            Command::LeanProvider { port } => compare::serve(port),
            Command::Ledger {
                connections,
                rounds,
                seconds,
                standin,
            } => {
                let options = ledger::Options {
                    connections,
                    rounds,
                    seconds,
                };
                ledger::run(&options, proxy::binary(standin).await?).await
            }
            Command::Mock {
                script,
                host,
                port,
                seed,
                standin,
                ledger,
            } => {
                let at = SocketAddr::from((host, port));
                stage::run(&script, at, seed, standin, ledger).await
            }
            Command::Outage {
                connections,
                seed,
                standin,
            } => {
                let options = outage::Options { connections, seed };
                outage::run(&options, proxy::binary(standin).await?).await
            }
            Command::Reload {
                reloads,
                connections,
                seed,
                standin,
            } => {
                let options = reload::Options {
                    reloads,
                    connections,
                    seed,
                };
                reload::run(&options, proxy::binary(standin).await?).await
            }
            Command::Skip {
                connections,
                rounds,
                seconds,
                standin,
            } => {
                let options = skip::Options {
                    connections,
                    rounds,
                    seconds,
                };
                skip::run(&options, proxy::binary(standin).await?).await
            }
        }
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| format!("signals: {e}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| format!("signals: {e}"))?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Err("terminated".to_owned()),
        _ = interrupt.recv() => Err("interrupted".to_owned()),
    }
}

/// Tells whoever started this.
fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One line on standard output.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| format!("standard output: {error}"))
}
