//! A folder of temporary files.

use std::path::PathBuf;

/// Removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// This process's own.
    pub(crate) fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("standin-load-{}", std::process::id()));
        let made = std::fs::create_dir_all(&path);
        made.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
