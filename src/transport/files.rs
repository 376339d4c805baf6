//! Files that are read again when they change: keys, certificates, those who
//! sign them. A mounted Secret changes by a symbolic link that leads
//! elsewhere.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_rustls::rustls::RootCertStore;
use zeroize::Zeroizing;

use crate::config::{Digest, IdentityFiles};
use crate::tls::{self, Identity};

/// What a file looks like from outside: changed when, how long, which one it
/// is, and when its rights or its owner were changed, or anything else.
type Look = Option<(SystemTime, u64, u64, (i64, i64))>;

/// Some files, and what they looked like last.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Mutex<Vec<Look>>,
}

impl Files {
    /// To be made before they are read: what is written in between is then
    /// read again.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = Mutex::new(looks(&paths));
        Self { paths, seen }
    }

    /// Whether one of them looks otherwise than when this was asked last.
    pub fn have_changed(&self) -> bool {
        let now = looks(&self.paths);
        let mut seen = self.seen.lock();
        std::mem::replace(&mut *seen, now) != *seen
    }
}

fn looks(paths: &[PathBuf]) -> Vec<Look> {
    paths.iter().map(|path| look(path)).collect()
}

fn look(path: &Path) -> Look {
    let data = fs::metadata(path).ok()?;
    let changed = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let any = (data.ctime(), data.ctime_nsec());
    Some((changed, data.len(), data.ino(), any))
}

/// Files with certificates and keys, while they are read.
#[derive(Default)]
pub struct Pem {
    /// All that was read, one file after the other.
    all: Zeroizing<Vec<u8>>,
}

impl Pem {
    /// A certificate and its key.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together; in one sentence.
    pub fn identity(&mut self, files: &IdentityFiles) -> Result<Identity, String> {
        let chain = self.read(&files.cert_file, tls::certificates)?;
        let key = self.read(&files.key_file, tls::private_key)?;
        let wrong = |why| format!("{} {why}", files.key_file.display());
        Identity::new(chain, key).map_err(wrong)
    }

    /// Those who are believed when they sign.
    ///
    /// # Errors
    /// They cannot be read, in one sentence.
    pub fn roots(&mut self, path: &Path) -> Result<RootCertStore, String> {
        self.read(path, tls::roots)
    }

    /// Of all that was read.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.all)
    }

    fn read<T>(
        &mut self,
        path: &Path,
        take: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, String> {
        let shown = path.display();
        let bytes = fs::read(path).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| format!("{shown}: {error}"))?;
        // A buffer that grows leaves its old one behind.
        let mut all = Zeroizing::new(Vec::with_capacity(self.all.len() + bytes.len() + 1));
        all.extend_from_slice(&self.all);
        all.extend_from_slice(&bytes);
        all.push(0);
        self.all = all;
        take(&bytes).map_err(|why| format!("{shown} {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_once_however_it_does() {
        let folder = std::env::temp_dir().join(format!("standin-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (one, two) = (folder.join("1"), folder.join("2"));
        let (link, next) = (folder.join("link"), folder.join("next"));
        fs::write(&one, "a").unwrap();
        fs::write(&two, "b").unwrap();
        let lead = |to: &Path| {
            std::os::unix::fs::symlink(to, &next).unwrap();
            fs::rename(&next, &link).unwrap();
        };
        lead(&one);
        let files = Files::new(vec![link.clone(), folder.join("missing")]);
        assert!(!files.have_changed());
        // As long, and perhaps as old: it is another file all the same.
        lead(&two);
        assert!(files.have_changed());
        assert!(!files.have_changed());
        fs::write(&two, "longer").unwrap();
        assert!(files.have_changed());
        fs::write(folder.join("missing"), "").unwrap();
        assert!(files.have_changed());
        // Who could not read it may now.
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&two, rights).unwrap();
        assert!(files.have_changed());
        fs::remove_dir_all(&folder).unwrap();
        assert!(files.have_changed());
        assert!(!files.have_changed());
    }
}
