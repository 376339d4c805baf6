//! The place where the two processes meet: a socket in the file system, for
//! one user alone.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::{sleep, timeout};

use super::STEP;

/// How soon one that is not there yet is looked for again, and how long it
/// rests where nobody can be let in.
pub(super) const AGAIN: Duration = Duration::from_millis(20);

/// Of those who wait to be let in; one is to come.
const BACKLOG: u32 = 8;

/// Where the other one is waited for. The file goes with it.
pub(super) struct Place {
    path: PathBuf,
    listener: UnixListener,
}

impl Place {
    /// # Errors
    /// In one sentence, why nobody can be waited for there.
    pub(super) async fn open(path: &Path) -> Result<Self, String> {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        is_ours(path)?;
        let socket = match bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                clear(path).await?;
                bind(path)
            }
            bound => bound,
        };
        let socket = socket.map_err(told)?;
        // Nobody can come before it listens.
        let closed = fs::set_permissions(path, Permissions::from_mode(0o600));
        let listener = closed.and_then(|()| socket.listen(BACKLOG));
        match listener {
            Ok(listener) => Ok(Self {
                path: path.to_owned(),
                listener,
            }),
            Err(error) => {
                // As it was before.
                let _ = fs::remove_file(path);
                Err(told(error))
            }
        }
    }

    /// The next one of the same user.
    pub(super) async fn next(&self) -> UnixStream {
        loop {
            let why = match self.listener.accept().await {
                Ok((stream, _)) => match same_user(&stream, geteuid().as_raw()) {
                    Ok(()) => return stream,
                    Err(why) => why,
                },
                Err(error) => {
                    sleep(AGAIN).await;
                    error.to_string()
                }
            };
            log::warn!(event = "upgrade", step = "refused"; "upgrade: turned away: {why}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // One that stays is found to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixSocket> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    Ok(socket)
}

/// Whether no other user can put something else in its place.
fn is_ours(path: &Path) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let told = |error| format!("{}: {error}", folder.display());
    let mode = fs::metadata(folder).map_err(told)?.mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        let folder = folder.display();
        return Err(format!(
            "everyone may write to {folder}, so nobody is waited for in it"
        ));
    }
    Ok(())
}

/// Removes what a dead process has left.
async fn clear(path: &Path) -> Result<(), String> {
    let at = path.display();
    let told = |error| format!("{at}: {error}");
    let is_socket = fs::symlink_metadata(path)
        .map_err(told)?
        .file_type()
        .is_socket();
    if !is_socket {
        return Err(format!("{at} is there and is no socket"));
    }
    match timeout(STEP, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(told)
        }
        Ok(Err(error)) => Err(told(error)),
        Ok(Ok(_)) | Err(_) => Err(format!("another process is already waiting at {at}")),
    }
}

/// The one who waits there, as soon as there is one.
///
/// # Errors
/// It is another user's, or nobody may look.
pub(super) async fn find(path: &Path) -> Result<UnixStream, String> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => {
                same_user(&stream, geteuid().as_raw())?;
                return Ok(stream);
            }
            Err(error) if is_absent(error.kind()) => sleep(AGAIN).await,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
}

fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Whether the other end is this user's.
///
/// # Errors
/// Whose it is.
pub(super) fn same_user(stream: &UnixStream, own: u32) -> Result<(), String> {
    let other = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    if other != own {
        return Err(format!(
            "the other process is of user {other}, and this one of user {own}"
        ));
    }
    Ok(())
}
