//! Host names whose addresses change: a file in the place of `/etc/hosts`,
//! for the proxy alone, in namespaces of its own.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use standin::mock::roll;
use tokio::process::Command;

/// Goes by one name for ever, which is looked up again now and then.
pub(super) const LASTING: &str = "named.test";
/// As many names come in turn with new configurations; each is looked up anew
/// when it is first needed again.
const PASSING: u64 = 4;

/// Where the provider listens, …
pub(super) const GOOD: [&str; 2] = ["127.0.0.2", "127.0.0.3"];
/// … and where nobody does.
const BAD: &str = "127.0.0.4";

/// Of the same length, so that the file changes in one write.
const LINE: usize = 32;
const LINES: usize = 3;

/// Mounts `$0` there, then becomes the rest.
const MOUNT: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";

/// The file of names.
#[derive(Debug)]
pub(super) struct Names {
    path: PathBuf,
    file: File,
    seed: u64,
    turn: u64,
}

/// The name under which this configuration knows the provider that moves.
pub(super) fn passing(configuration: u64) -> String {
    format!("moved{}.test", configuration % PASSING)
}

/// The program, with these words before it.
pub(super) fn before(words: &[OsString], program: &Path) -> Command {
    let mut all = words.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
    let mut command = Command::new(all.next().unwrap_or_default());
    command.args(all);
    command
}

impl Names {
    /// The file, where this machine lets a process have one of its own.
    pub(super) async fn new(folder: &Path, seed: u64) -> Result<Option<Self>, String> {
        let path = folder.join("hosts");
        let told = |error| format!("{}: {error}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path);
        let mut names = Self {
            file: file.map_err(told)?,
            path,
            seed,
            turn: 0,
        };
        names.change(true)?;
        let resolve = names
            .before(Path::new("getent"))
            .args(["hosts", LASTING])
            .output()
            .await;
        let found =
            resolve.is_ok_and(|out| out.status.success() && out.stdout.starts_with(b"127.0.0."));
        Ok(found.then_some(names))
    }

    /// A command that becomes this program, for which the names hold.
    pub(super) fn before(&self, program: &Path) -> Command {
        before(&self.mounted(), program)
    }

    /// What stands before a program for that.
    pub(super) fn mounted(&self) -> Vec<OsString> {
        let words = ["unshare", "-U", "-r", "-m", "sh", "-c", MOUNT];
        let words = words.into_iter().map(OsString::from);
        words.chain([self.path.clone().into()]).collect()
    }

    /// Gives every name other addresses, at least one of which is good: a
    /// process that an upgrade begins knows of none before. Says what it did.
    pub(super) fn change(&mut self, calm: bool) -> Result<String, String> {
        use std::os::unix::fs::FileExt as _;
        let mut dice = roll(self.seed ^ 0xd25, self.turn);
        self.turn += 1;
        let mut text = String::new();
        let mut told = String::new();
        for name in [LASTING.to_owned()]
            .into_iter()
            .chain((0..PASSING).map(passing))
        {
            let addresses: &[&str] = match dice & 7 {
                _ if calm => &GOOD,
                0 => &[GOOD[0]],
                1 => &[GOOD[1]],
                2 => &[GOOD[1], GOOD[0]],
                3 => &[BAD, GOOD[0]],
                4 => &[GOOD[1], BAD],
                5 => &[BAD, GOOD[1], GOOD[0]],
                _ => &GOOD,
            };
            dice >>= 3;
            for nth in 0..LINES {
                let line = match addresses.get(nth) {
                    Some(address) => format!("{address} {name}"),
                    None => "#".to_owned(),
                };
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{line:<0$}", LINE - 1);
            }
            let _ = write!(told, " {name}={}", addresses.join(","));
        }
        let written = self.file.write_all_at(text.as_bytes(), 0);
        let written = written.and_then(|()| self.file.flush());
        written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        Ok(told)
    }
}
