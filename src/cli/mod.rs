//! The command line.

mod demo;
pub(crate) mod import;
mod key;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, schema};
use crate::server::{Places, Server, Source, flush_log, start_log};

pub use self::demo::FIRST_REQUEST;

/// A reverse proxy for LLM traffic: one request, an ordered list of models,
/// one answer.
#[derive(Debug, Parser)]
#[command(name = "standin", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and print every problem in it
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show one request walking past a rate-limited and an unavailable model;
    /// needs no key and no network
    Demo {
        /// Exit after the walk
        #[arg(long)]
        once: bool,
    },
    /// Turn another gateway's configuration into one of Standin's
    Import {
        #[command(subcommand)]
        import: import::Import,
    },
    /// Make keys for clients
    Key {
        #[command(subcommand)]
        key: key::Key,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Run the proxy
    Serve {
        /// The configuration file; else $STANDIN_CONFIG, else
        /// conf/standin.yaml, else the built-in catalogue
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Take the listening sockets over from a running process, which is
        /// asked for them by SIGQUIT
        #[arg(long)]
        upgrade: bool,
    },
    /// Tell what was used and what it cost
    Usage(usage::Question),
}

/// Why a command did not do its work.
enum Failed {
    /// At run time: exit code 1.
    Running(String),
    /// By its configuration: exit code 2.
    Configuration(String),
}

/// Runs what the command line asks for. Exit codes: 0 done, 1 failed at run
/// time, 2 bad usage or configuration.
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check { config } => check(config),
        Command::Demo { once } => demo::run(once),
        Command::Import { import } => import::run(import),
        Command::Key { key } => key::run(key),
        Command::Schema => print(&format!("{:#}\n", schema())),
        Command::Serve { config, upgrade } => serve(config, upgrade),
        Command::Usage(question) => usage::run(question),
    };
    flush_log();
    let (code, why) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Running(why)) => (1, why),
        Err(Failed::Configuration(why)) => (2, why),
    };
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", why.trim_end());
    ExitCode::from(code)
}

fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failed::Running(format!("standard output: {error}")))
}

fn check(config: Option<PathBuf>) -> Result<(), Failed> {
    let source = Source::find(config);
    let config = source.load().map_err(Failed::Configuration)?;
    print(&format!(
        "{}: {} providers, {} models: good\n",
        match &source {
            Source::File(path) => path.display().to_string(),
            Source::Builtin | Source::Text(_) => "built-in catalogue".to_owned(),
        },
        config.providers.len(),
        config.models.len(),
    ))
}

fn serve(config: Option<PathBuf>, upgrade: bool) -> Result<(), Failed> {
    let source = Source::find(config);
    let mut places = Places::default();
    let config = source.load_from(&mut places);
    let config = config.map_err(Failed::Configuration)?;
    if upgrade && config.upgrade_socket.is_none() {
        let why = "`--upgrade` takes over at `shutdown.upgrade_socket`, and there is none";
        return Err(Failed::Configuration(why.to_owned()));
    }
    start_log(config.log).map_err(Failed::Running)?;
    raise_descriptors();
    keep_memory_in();
    runtime(&config)?.block_on(async {
        let server = if upgrade {
            Server::take_over(source, config, places).await
        } else {
            Server::start(source, config, places).await
        };
        let server = server.map_err(Failed::Running)?;
        server.run().await.map_err(Failed::Running)
    })
}

/// Takes as many descriptors as the system allows without asking anyone: each
/// stream holds two, and the usual 1024 are gone with five hundred of them.
fn raise_descriptors() {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(_, most)| setrlimit(limit, most, most).map(|()| most));
    match raised {
        Ok(most) => log::debug!("{most} descriptors"),
        Err(error) => log::warn!("descriptors stay as limited as they are: {error}"),
    }
}

/// Lets a crash leave no core file: providers' keys and prompts would stand in
/// it. Who looks for a fault says so in the environment.
fn keep_memory_in() {
    if std::env::var_os("STANDIN_CORE_DUMPS").is_some() {
        return;
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        log::warn!("a crash may leave a core file: {error}");
    }
}

fn runtime(config: &Config) -> Result<Runtime, Failed> {
    let mut builder = Builder::new_multi_thread();
    if config.threads > 0 {
        builder.worker_threads(config.threads);
    }
    let runtime = builder.enable_all().thread_name("standin").build();
    runtime.map_err(|error| Failed::Running(format!("threads: {error}")))
}
