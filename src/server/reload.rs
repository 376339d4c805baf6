//! Another configuration in the place of the one that serves, all of it or
//! nothing.

use std::sync::Arc;

use super::notify::Standing;
use super::{Server, clocks};
use crate::house::House;
use crate::logs;

impl Server {
    /// Swaps the whole configuration, or nothing of it, and tells the service
    /// manager.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        self.manager
            .tell(&Standing::Reloading, "reading the configuration");
        let swapped = self.swap().await;
        let status = match &swapped {
            Ok(()) => "serving",
            // What is wrong with it stands in the log.
            Err(_) => "serving with the old configuration: the new one was rejected",
        };
        self.manager.tell(&Standing::Ready, status);
        swapped
    }

    async fn swap(&mut self) -> Result<(), String> {
        let before = self.behind.house.load_full();
        let loaded = self.source.load_from(&mut self.watch.places);
        let built = loaded.and_then(|config| {
            let opened = self.doors.open(&config)?;
            let ledger = before.ledger.clone();
            let house = House::build(config, &self.pool, ledger, Some(&before), clocks())?;
            Ok((house, opened))
        });
        before.counts.reloaded(built.is_ok());
        let (house, opened) = match built {
            Ok(built) => built,
            Err(problems) => {
                log::error!(
                    event = "reload", result = "rejected", problems = problems.as_str();
                    "configuration not reloaded, the old one stays:\n{problems}"
                );
                return Err(problems);
            }
        };
        let (old, new) = (&before.config, &house.config);
        if old.threads != new.threads {
            log::warn!("threads takes effect at the next start");
        }
        if old.ledger.as_ref().map(|l| (&l.path, l.retention))
            != new.ledger.as_ref().map(|l| (&l.path, l.retention))
        {
            log::warn!("ledger.path and ledger.retention take effect at the next start");
        }
        logs::set(new.log);
        self.exports.follow(&house);
        let house = Arc::new(house);
        self.behind.house.store(Arc::clone(&house));
        let changed = self.doors.change(opened, &house.config, &self.behind);
        changed.await;
        log::info!(event = "reload", result = "accepted"; "configuration reloaded");
        Ok(())
    }
}
