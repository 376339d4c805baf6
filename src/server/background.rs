//! What is done beside requests: addresses looked up again, credential files
//! read again.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::front;
use crate::house::Current;

/// How soon a rotated credential is used.
const CREDENTIALS: Duration = Duration::from_secs(1);

/// How soon a provider that has moved is found: half the time to live that
/// the large ones give their names.
const ADDRESSES: Duration = Duration::from_secs(30);

/// Starts it, for as long as the process lives.
pub(super) fn run(house: Current) {
    let credentials = std::sync::Arc::clone(&house);
    front::spawn(async move {
        let mut tick = interval(CREDENTIALS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let house = credentials.load_full();
            house.refresh_credentials(Instant::now().into_std());
        }
    });
    front::spawn(async move {
        let mut tick = interval(ADDRESSES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            house.load_full().ways.refresh_addresses().await;
        }
    });
}
