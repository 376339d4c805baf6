//! What is done beside requests: addresses looked up again, credential files
//! read again, idle connections let go.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::front;
use crate::house::Current;

/// How soon a rotated credential is used.
const CREDENTIALS: Duration = Duration::from_secs(1);

/// How soon a provider that has moved is found: half the time to live that
/// the large ones give their names.
const ADDRESSES: Duration = Duration::from_secs(30);

/// How soon a connection that a provider has closed is closed here too.
const SWEEP: Duration = Duration::from_secs(5);

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
    let sweeping = std::sync::Arc::clone(&house);
    front::spawn(async move {
        let mut tick = interval(SWEEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            sweeping.load().ways.sweep();
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
