//! What the kernel knows of a process, and signals to it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Clock ticks in a second in /proc: 100 on every Linux that user space sees.
const TICKS: f64 = 100.0;

/// Resident memory, in KiB.
pub(crate) fn memory(pid: u32) -> Result<u64, String> {
    status(pid, "VmRSS:")
}

/// The most that it has ever had resident, in KiB.
pub(crate) fn most_memory(pid: u32) -> Result<u64, String> {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = read(&path)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("{path}: no {name}"))
}

/// Processor time so far, in seconds, user and system.
pub(crate) fn processor(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = read(&path)?;
    // The name, in parentheses, may hold anything.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
    let mut fields = fields.unwrap_or_default().split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    match (ticks(), ticks()) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(format!("{path}: no times")),
    }
}

/// The same to the nanosecond, of the threads that it has now; exact while
/// none of them runs.
pub(crate) fn threads(pid: u32) -> Result<Duration, String> {
    let folder = format!("/proc/{pid}/task");
    let failed = |error: std::io::Error| format!("{folder}: {error}");
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir(&folder).map_err(failed)? {
        let path = thread.map_err(failed)?.path().join("schedstat");
        let path = path.display().to_string();
        let ran = read(&path)?;
        let ran = ran
            .split_whitespace()
            .next()
            .and_then(|ran| ran.parse().ok());
        let ran = ran.ok_or_else(|| format!("{path}: no time"))?;
        all += Duration::from_nanos(ran);
    }
    Ok(all)
}

/// Its open descriptors.
pub(crate) fn descriptors(pid: u32) -> Result<u64, String> {
    let folder = format!("/proc/{pid}/fd");
    let open = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    Ok(open.fold(0, |all, _| all + 1))
}

/// How many threads it has.
pub(crate) fn thread_count(pid: u32) -> Result<u64, String> {
    status(pid, "Threads:")
}

/// Sends it a signal.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<(), String> {
    let failed = |why: String| format!("{signal} to {pid}: {why}");
    let pid = i32::try_from(pid).map_err(|error| failed(error.to_string()))?;
    kill(Pid::from_raw(pid), signal).map_err(|error| failed(error.to_string()))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
