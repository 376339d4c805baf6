//! What the kernel knows of a process.

/// Clock ticks in a second in /proc: 100 on every Linux that user space sees.
const TICKS: f64 = 100.0;

/// Resident memory, in KiB.
pub(crate) fn memory(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = read(&path)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("{path}: no VmRSS"))
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

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
