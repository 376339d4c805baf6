//! Tells the service manager how it stands: ready, reloading, stopping.
//!
//! The protocol is `sd_notify(3)`'s: one datagram of lines `NAME=VALUE` to the
//! socket that `NOTIFY_SOCKET` names. Who started the process without that
//! variable is told nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long a manager that reads nothing may hold us up. Its own patience with
/// us is much longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the process stands.
pub(super) enum Standing {
    /// It serves; also after a reload, whatever became of that.
    Ready,
    /// It is the service's process now, or still, and serves.
    Main,
    /// It takes over another configuration. `Ready` must follow.
    Reloading,
    /// It lets requests in flight finish, and ends.
    Stopping,
}

/// The way to whoever started the process.
pub(super) struct Manager(Option<(UnixDatagram, SocketAddr)>);

impl Manager {
    /// The one of the environment; what is wrong with it is said in the log,
    /// and the process runs without.
    pub(super) fn find() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match reach(&name) {
            Ok(way) => Self(Some(way)),
            Err(error) => {
                log::warn!("NOTIFY_SOCKET cannot be used, nobody is told that this runs: {error}");
                Self(None)
            }
        }
    }

    /// Tells it; `status` is one line for people.
    pub(super) fn tell(&self, standing: &Standing, status: &str) {
        let Some((socket, to)) = &self.0 else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message(standing, status).as_bytes(), to) {
            log::warn!("the service manager could not be told: {error}");
        }
    }
}

/// A path, or with an `@` before it a name in the abstract namespace.
fn reach(name: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => {
            let why = "it is neither a path nor an abstract name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, to))
}

/// The lines of one datagram.
fn message(standing: &Standing, status: &str) -> String {
    let mut lines = match standing {
        Standing::Ready => "READY=1\n".to_owned(),
        Standing::Main => format!("MAINPID={}\nREADY=1\n", std::process::id()),
        Standing::Stopping => "STOPPING=1\n".to_owned(),
        Standing::Reloading => {
            let mut lines = "RELOADING=1\n".to_owned();
            // By it `Type=notify-reload` tells this reload from an earlier one.
            if let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) {
                let micros = Duration::from(now).as_micros();
                // A String takes whatever is written to it.
                let _ = writeln!(lines, "MONOTONIC_USEC={micros}");
            }
            lines
        }
    };
    lines.push_str("STATUS=");
    // One line is one assignment: another would be taken for one of its own.
    lines.extend(status.chars().map(|c| if c.is_control() { ' ' } else { c }));
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_whatever_is_in_it() {
        let text = message(&Standing::Ready, "one\nMAINPID=1\r\0two");
        assert_eq!(text, "READY=1\nSTATUS=one MAINPID=1  two\n");
        let text = message(&Standing::Stopping, "");
        assert_eq!(text, "STOPPING=1\nSTATUS=\n");
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let now = || Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_micros();
        let before = now();
        let text = message(&Standing::Reloading, "s");
        let rest = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let micros: u128 = rest.strip_suffix("\nSTATUS=s\n").unwrap().parse().unwrap();
        assert!((before..=now()).contains(&micros));
    }

    #[test]
    fn both_kinds_of_names_are_reached_and_others_are_not() {
        let name = format!("standin-test-{}", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&at).unwrap();
        let way = reach(&OsString::from(format!("@{name}"))).unwrap();
        Manager(Some(way)).tell(&Standing::Ready, "on");
        let mut bytes = [0; 64];
        let size = manager.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..size], b"READY=1\nSTATUS=on\n");

        assert!(reach(&OsString::from("/run/systemd/notify")).is_ok());
        for name in ["", "run/notify", "vsock:2:1234"] {
            assert!(reach(&OsString::from(name)).is_err(), "{name:?}");
        }
    }
}
