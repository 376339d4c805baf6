//! Waits until the configuration's file is another one: a mounted ConfigMap is
//! changed by leading a symbolic link elsewhere, and nobody sends a signal.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::source::Places;

/// How soon another file is found.
const EVERY: Duration = Duration::from_secs(1);

/// Looks where the configuration is.
pub(super) struct Watch {
    tick: Interval,
    /// Where it was when it was read last.
    pub(super) places: Places,
}

impl Watch {
    /// Must be called on a tokio runtime.
    pub(super) fn new(places: Places) -> Self {
        let mut tick = interval_at(Instant::now() + EVERY, EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tick, places }
    }

    /// Until it is somewhere else. May be dropped and asked again.
    pub(super) async fn moved(&mut self) {
        if self.places.is_empty() {
            return std::future::pending().await;
        }
        loop {
            self.tick.tick().await;
            let places = self.places.clone();
            // A file system may take its time.
            let moved = tokio::task::spawn_blocking(move || places.have_moved()).await;
            if matches!(moved, Ok(true)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;
    use crate::server::Source;

    #[tokio::test(start_paused = true)]
    async fn a_link_that_leads_elsewhere_is_found_within_a_second() {
        let folder = std::env::temp_dir().join(format!("standin-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (one, two) = (folder.join("1"), folder.join("2"));
        for file in [&one, &two] {
            fs::write(file, "nonsense: 1\n").unwrap();
        }
        let (link, next) = (folder.join("link"), folder.join("next"));
        symlink(&one, &link).unwrap();
        let source = Source::File(link.clone());
        let mut watch = Watch::new(Places::default());
        source.load_from(&mut watch.places).unwrap_err();
        // It is wrong, and stays so; or changes where it is.
        let minute = Duration::from_mins(1);
        assert!(timeout(minute, watch.moved()).await.is_err());
        fs::write(&one, "nonsense: 2\n").unwrap();
        assert!(timeout(minute, watch.moved()).await.is_err());
        symlink(&two, &next).unwrap();
        fs::rename(&next, &link).unwrap();
        timeout(EVERY * 2, watch.moved()).await.unwrap();
        // As long as nobody has read it.
        timeout(EVERY * 2, watch.moved()).await.unwrap();
        source.load_from(&mut watch.places).unwrap_err();
        assert!(timeout(minute, watch.moved()).await.is_err());
        fs::remove_dir_all(&folder).unwrap();
        assert!(timeout(minute, watch.moved()).await.is_err());
    }
}
