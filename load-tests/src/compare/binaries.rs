//! What is compared, as it ships: built, or taken from Debian.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::proxy::cargo_build;
use crate::say;

/// Where the proxies' binaries are.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) standin: PathBuf,
    pub(super) bare: PathBuf,
    /// None where it cannot be had.
    pub(super) nginx: Option<PathBuf>,
}

impl Binaries {
    /// Builds Standin and the bare proxy in the shipped profile, unless one is
    /// named, and finds nginx.
    pub(super) async fn ready(standin: Option<PathBuf>) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("own executable: {error}"))?;
        let target = own.parent().and_then(Path::parent);
        let target = target.ok_or("own executable is in no target folder")?;
        say("building in profile ship, where it is not up to date: this takes minutes");
        let ship = ["--locked", "--profile", "ship"];
        let standin = match standin {
            Some(path) => path,
            None => {
                let what = ["--bin", "standin", "--features", "jemalloc"];
                cargo_build(target, &[&ship[..], &what].concat()).await?;
                target.join("ship/standin")
            }
        };
        let what = ["--package", "bare-pingora", "--features", "jemalloc"];
        cargo_build(target, &[&ship[..], &what].concat()).await?;
        Ok(Self {
            standin,
            bare: target.join("ship/bare-pingora"),
            nginx: nginx(&target.join("debian")).await,
        })
    }
}

/// The installed one, else Debian's package, unpacked into this folder: so no
/// service is started.
async fn nginx(folder: &Path) -> Option<PathBuf> {
    let unpacked = folder.join("usr/sbin/nginx");
    let names = [
        PathBuf::from("nginx"),
        "/usr/sbin/nginx".into(),
        unpacked.clone(),
    ];
    for name in names {
        if runs(&name, &["-v"]).await {
            return Some(name);
        }
    }
    std::fs::create_dir_all(folder).ok()?;
    let fetch = "rm -f nginx_*.deb && apt-get -qq download nginx && dpkg-deb -x nginx_*.deb .";
    let update = "apt-get -qq update";
    for script in [fetch.to_owned(), format!("{update} && {fetch}")] {
        let script = format!("cd {folder:?} && ({script}) >apt.log 2>&1");
        if runs(Path::new("sh"), &["-c", &script]).await && runs(&unpacked, &["-v"]).await {
            return Some(unpacked);
        }
    }
    None
}

pub(super) async fn runs(program: &Path, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}
