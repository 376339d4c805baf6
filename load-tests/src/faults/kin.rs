//! The processes of standin that follow each other: what each has said so far,
//! and which one serves.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

use super::harm::Target;
use crate::{figures, say};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What its log has said, as far as somebody waits for it.
#[derive(Debug, Default)]
pub(super) struct Told {
    listen: Cell<Option<SocketAddr>>,
    admin: Cell<Option<SocketAddr>>,
    /// It is built, and about to accept.
    pub(super) started: Cell<bool>,
    /// It accepts no more, as another process serves.
    pub(super) left: Cell<bool>,
    /// How often it has said that an upgrade was not done.
    pub(super) refused: Cell<u64>,
    /// To whom it has handed sockets.
    pub(super) found: Cell<Option<u32>>,
    /// How it ended, once all that it said has been read.
    pub(super) ended: Cell<Option<ExitStatus>>,
    /// What must not be there.
    wrong: RefCell<Vec<String>>,
    /// The last few lines.
    last: RefCell<Vec<String>>,
}

impl Told {
    fn take(&self, line: &str) {
        let behind = |before| line.split_once(before).map(|(_, rest): (&str, &str)| rest);
        let number = |text: &str| text.split(' ').next()?.parse().ok();
        if let Some(at) = behind(" listening on ").filter(|_| !line.contains("no more")) {
            self.listen.set(at.trim().parse().ok());
        } else if let Some(at) = behind(" admin on ") {
            self.admin.set(at.trim().parse().ok());
        } else if line.contains("this one accepts no more") {
            self.left.set(true);
        } else if line.contains("not done, and this process serves on") {
            self.refused.set(self.refused.get() + 1);
        } else if let Some(process) = behind("upgrade: process ").and_then(number) {
            self.found.set(Some(process));
        } else if behind(" standin ").is_some_and(|rest| rest.starts_with(char::is_numeric)) {
            self.started.set(true);
        }
        // Whoever has left has a disk with room.
        let is_lost = line.contains("before the end")
            || self.left.get() && line.contains("records cannot be written");
        if (line.contains("panicked at") || is_lost) && self.wrong.borrow().len() < 10 {
            say(line);
            self.wrong
                .borrow_mut()
                .push(format!("standin's log: {line}"));
        }
        let mut last = self.last.borrow_mut();
        if last.len() == 20 {
            last.remove(0);
        }
        last.push(line.to_owned());
    }

    fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.listen.get().zip(self.admin.get())
    }

    /// Its last words, one a line.
    pub(super) fn last(&self) -> String {
        self.last.borrow().join("\n      ")
    }
}

/// A process of standin, whose log is read until it has ended.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) began: Instant,
    pub(super) told: Rc<Told>,
}

impl Process {
    /// Begins to start it.
    pub(super) fn spawn(
        mut command: Command,
        path: &Path,
        is_upgrade: bool,
    ) -> Result<Self, String> {
        let mut child = command
            .arg("serve")
            .args(is_upgrade.then_some("--upgrade"))
            .arg("-c")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("standin: {error}"))?;
        let log = child.stderr.take().ok_or("standin has no stderr")?;
        let pid = child.id().ok_or("standin has ended")?;
        let told = Rc::<Told>::default();
        tokio::task::spawn_local(read(child, BufReader::new(log).lines(), Rc::clone(&told)));
        Ok(Self {
            pid,
            began: Instant::now(),
            told,
        })
    }

    /// Where it listens, once it does.
    pub(super) async fn serving(&self, longest: Duration) -> Result<(SocketAddr, Target), String> {
        self.until(longest, |told| {
            told.addresses().is_some() || told.ended.get().is_some()
        })
        .await;
        let (listen, admin) = self.told.addresses().ok_or_else(|| {
            format!(
                "standin does not serve within {longest:?}, ended: {:?}\n      {}",
                self.told.ended.get(),
                self.told.last()
            )
        })?;
        let pid = self.pid;
        Ok((listen, Target { admin, pid }))
    }

    /// Whether that was so in time.
    pub(super) async fn until(&self, longest: Duration, is_so: impl Fn(&Told) -> bool) -> bool {
        let until = Instant::now() + longest;
        while !is_so(&self.told) {
            if Instant::now() > until {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// How it ended, where it did so in time.
    pub(super) async fn end(&self, longest: Duration) -> Option<ExitStatus> {
        self.until(longest, |told| told.ended.get().is_some()).await;
        self.told.ended.get()
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        figures::signal(self.pid, signal)
    }

    /// What it said that must not be there.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.told.wrong.take()
    }
}

async fn read(mut child: Child, mut log: Lines<BufReader<ChildStderr>>, told: Rc<Told>) {
    while let Ok(Some(line)) = log.next_line().await {
        told.take(&line);
    }
    if let Ok(status) = child.wait().await {
        told.ended.set(Some(status));
    }
}

/// Who serves.
#[derive(Debug)]
pub(super) struct Kin {
    current: RefCell<Process>,
    pub(super) target: Cell<Target>,
    /// Held by one that hands over; shared by all that ask one process for
    /// something in several steps.
    pub(super) alone: RwLock<()>,
}

impl Kin {
    pub(super) fn new(process: Process, target: Target) -> Self {
        Self {
            current: RefCell::new(process),
            target: Cell::new(target),
            alone: RwLock::new(()),
        }
    }

    pub(super) fn current(&self) -> Process {
        self.current.borrow().clone()
    }

    /// From now on it is this one; who it was.
    pub(super) fn follow(&self, process: Process, target: Target) -> Process {
        self.target.set(target);
        self.current.replace(process)
    }

    /// Waits until the one that serves has ended, which it should not.
    pub(super) async fn ended(&self) -> String {
        loop {
            let process = self.current();
            if let Some(status) = process.told.ended.get() {
                let (pid, last) = (process.pid, process.told.last());
                return format!("standin, process {pid}, ended: {status}\n      {last}");
            }
            sleep(LOOK * 10).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_how_far_an_upgrade_is() {
        let told = Told::default();
        told.take("x INFO standin: standin 0.1.0");
        assert!(told.started.get() && told.addresses().is_none());
        told.take("x INFO standin: listening on 127.0.0.1:1");
        told.take("x INFO standin: admin on 127.0.0.1:2");
        let all = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(told.addresses(), Some((all[0], all[1])));
        told.take("x upgrade: process 7 of version 0.1.0 is given 2 sockets");
        told.take("x ERROR ledger: records cannot be written: no room");
        told.take("x upgrade: not done, and this process serves on: why");
        assert_eq!((told.found.get(), told.refused.get()), (Some(7), 1));
        told.take("x no more listening on 127.0.0.1:1");
        told.take("x upgrade: process 8 serves, and this one accepts no more");
        assert!(told.left.get() && told.wrong.borrow().is_empty());
        told.take("x ERROR ledger: records cannot be written: no room");
        told.take("thread 'x' panicked at y");
        assert_eq!(told.wrong.borrow().len(), 2);
        assert_eq!(told.addresses(), Some((all[0], all[1])));
    }
}
