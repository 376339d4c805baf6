//! Where the configuration comes from, and whether that has moved.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, Surroundings};

/// Used where nothing else is named and it exists.
const USUAL_FILE: &str = "conf/standin.yaml";

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in catalogue, by the environment.
    Builtin,
    /// A file, read again at each reload.
    File(PathBuf),
    /// A text that does not change: the demo's.
    Text(String),
}

impl Source {
    /// The file that was named; else `$STANDIN_CONFIG`; else the usual file
    /// where it exists; else the catalogue.
    pub fn find(named: Option<PathBuf>) -> Self {
        let by_environment = || {
            let named = std::env::var_os("STANDIN_CONFIG").map(PathBuf::from)?;
            (!named.as_os_str().is_empty()).then_some(named)
        };
        match named.or_else(by_environment) {
            Some(file) => Self::File(file),
            None if Path::new(USUAL_FILE).exists() => Self::File(USUAL_FILE.into()),
            None => Self::Builtin,
        }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// Every problem, one a line, as `FILE:LINE:COL: what is wrong`.
    pub fn load(&self) -> Result<Config, String> {
        self.load_from(&mut Places::default())
    }

    /// The same; notes where it was, also where it is wrong.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load_from(&self, places: &mut Places) -> Result<Config, String> {
        *places = Places::default();
        let process = Process::default();
        let loaded = match self {
            Self::Builtin => config::builtin(&process),
            Self::Text(text) => config::load("demo", text.as_bytes(), &process),
            Self::File(path) => {
                // Before it is read: where it moves meanwhile, it is read again.
                places.note(path.clone());
                let name = path.display().to_string();
                let text = fs::read(path).map_err(|error| format!("{name}:1:1: {error}"))?;
                config::load(&name, &text, &process)
            }
        };
        for missing in process.missing.into_inner() {
            places.note(missing);
        }
        loaded.map_err(|problems| problems.to_string())
    }
}

/// Where a configuration was when it was read, behind all symbolic links: its
/// file, and the files that it names and lacked.
#[derive(Clone, Debug, Default)]
pub struct Places {
    all: Vec<(PathBuf, Option<PathBuf>)>,
}

impl Places {
    /// Notes one that can move: nobody has to look again where a path leads
    /// through no link.
    fn note(&mut self, path: PathBuf) {
        let is_at = fs::canonicalize(&path).ok();
        let is_plain = is_at.is_some() && is_at == std::path::absolute(&path).ok();
        if !is_plain {
            self.all.push((path, is_at));
        }
    }

    /// Whether there is none that could move.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one of them is somewhere else now: a link on its way leads
    /// elsewhere, or what was missing is there. One that is gone, or was
    /// changed where it is, has not moved. Asks the file system.
    pub(super) fn have_moved(&self) -> bool {
        let moved = |(path, was): &(PathBuf, Option<PathBuf>)| {
            let is_at = fs::canonicalize(path).ok();
            is_at.is_some() && is_at != *was
        };
        self.all.iter().any(moved)
    }
}

/// The process's own environment and files.
#[derive(Default)]
struct Process {
    /// Files that could not be read.
    missing: RefCell<Vec<PathBuf>>,
}

impl Surroundings for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<Vec<u8>, std::io::Error> {
        fs::read(path).inspect_err(|_| self.missing.borrow_mut().push(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const GOOD: &str = "providers:\n  p: { base_url: \"http://127.0.0.1:1/v1\" }\n";

    /// A mount as the kubelet makes it: names lead through `..data`.
    struct Mount(PathBuf);

    impl Mount {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("standin-source-{name}-{}", std::process::id());
            let mount = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(&mount.0).unwrap();
            mount.swap("1", text);
            symlink("..data/standin.yaml", mount.path()).unwrap();
            mount
        }

        fn path(&self) -> PathBuf {
            self.0.join("standin.yaml")
        }

        fn swap(&self, version: &str, text: &str) {
            let folder = self.0.join(version);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("standin.yaml"), text).unwrap();
            symlink(version, self.0.join("..data_tmp")).unwrap();
            fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_link_leads_to_moves_once() {
        let mount = Mount::new("links", GOOD);
        let (source, mut places) = (Source::File(mount.path()), Places::default());
        source.load_from(&mut places).unwrap();
        assert!(!places.have_moved());
        // In place, as an editor of the real file would.
        fs::write(mount.path(), format!("{GOOD}# more\n")).unwrap();
        assert!(!places.have_moved());
        mount.swap("2", "nonsense: 1\n");
        assert!(places.have_moved());
        // Known to be wrong, and looked at no more.
        source.load_from(&mut places).unwrap_err();
        assert!(!places.have_moved());
        mount.swap("3", GOOD);
        assert!(places.have_moved());
        source.load_from(&mut places).unwrap();
        assert!(!places.have_moved());
        // A link to the same file by another way is the same place.
        fs::remove_file(mount.path()).unwrap();
        assert!(!places.have_moved());
        symlink("3/standin.yaml", mount.path()).unwrap();
        assert!(!places.have_moved());
    }

    #[test]
    fn a_file_that_was_missing_has_moved_when_it_is_there() {
        let mount = Mount::new("missing", GOOD);
        let key = mount.0.join("key");
        let line = format!(
            "  q: {{ base_url: \"http://127.0.0.1:1/v1\", api_key_file: {} }}\n",
            key.display()
        );
        mount.swap("2", &format!("{GOOD}{line}"));
        let (source, mut places) = (Source::File(mount.path()), Places::default());
        source.load_from(&mut places).unwrap_err();
        assert!(!places.have_moved());
        fs::write(&key, "sk-test\n").unwrap();
        assert!(places.have_moved());
        source.load_from(&mut places).unwrap();
        assert!(!places.have_moved());
    }

    #[test]
    fn what_no_link_leads_to_never_moves() {
        let mount = Mount::new("plain", GOOD);
        let plain = fs::canonicalize(mount.path()).unwrap();
        let mut places = Places::default();
        Source::File(plain).load_from(&mut places).unwrap();
        assert!(places.is_empty());
        Source::File(mount.path()).load_from(&mut places).unwrap();
        assert!(!places.is_empty());
        Source::Text(GOOD.to_owned())
            .load_from(&mut places)
            .unwrap();
        assert!(places.is_empty() && !places.have_moved());
    }
}
