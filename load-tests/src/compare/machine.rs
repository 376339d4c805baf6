//! The machine under the run: its cores, its limits, and who may use what.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// Raises this process's limit of open files, which its children take over;
/// how many there may be.
pub(super) fn raise_files() -> Result<u64, String> {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(_, most)| setrlimit(limit, most, most).map(|()| most));
    raised.map_err(|error| format!("open files: {error}"))
}

/// As many of these streams as a proxy may have: each takes it two files.
pub(super) fn streams(wanted: usize, files: u64) -> usize {
    let most = usize::try_from(files.saturating_sub(SPARE) / 2).unwrap_or(usize::MAX);
    wanted.min(most)
}

/// Files that a proxy has open beside connections.
const SPARE: u64 = 600;

/// How many cores this thread may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Binds this thread, and what it starts from here on, to these cores.
pub(super) fn keep_to(cores: Range<usize>) -> Result<(), String> {
    let mut set = CpuSet::new();
    for core in cores {
        let added = set.set(core);
        added.map_err(|error| format!("core {core}: {error}"))?;
    }
    let bound = sched_setaffinity(Pid::from_raw(0), &set);
    bound.map_err(|error| format!("binding to cores: {error}"))
}

/// An address on loopback where nobody listens.
pub(super) fn address() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let at = bound.and_then(|listener| listener.local_addr());
    at.map_err(|error| format!("no address: {error}"))
}

/// What stands above a table: processor, cores, memory.
pub(super) fn description(cores: usize) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, {memory}, Linux {}", kernel.trim())
}

/// How busy the machine was over the last minute.
pub(super) fn busy() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}
