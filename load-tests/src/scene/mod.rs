//! Which providers there are and what they do, by name.

mod chaos;
mod faults;
mod live;
mod sdk;
mod watch;

use standin::mock::Script;

pub(crate) use chaos::HOMES;
pub(crate) use live::{BACKUP, COOLDOWN, FAILURES, MAX_COOLDOWN, PRIMARY, TIMEOUT};

/// Every scene has a provider of this name at which connections are refused.
pub(crate) const REFUSED: &str = "refused";

/// Candidates fail in every way, and nothing is remembered for long.
pub(crate) const CHAOS: &str = "chaos";
/// The same with live state as it is by default.
pub(crate) const CHAOS_LIVE: &str = "chaos-live";
/// Before the name of one provider of `faults`.
pub(crate) const FAULTS: &str = "faults/";
/// Two providers, one of them asked to fail while they run.
pub(crate) const LIVE: &str = "live";
/// The same with timeouts and cool-downs short enough to wait for.
pub(crate) const OUTAGE: &str = "outage";
/// Two providers with prices, and a key for the clients.
pub(crate) const PRICED: &str = "priced";
/// One model for each thing that can happen.
pub(crate) const SDK: &str = "sdk";
/// Every way to end, for the dashboard's test.
pub(crate) const WATCH: &str = "watch";

/// Providers, and the configuration of a proxy before them.
pub(crate) struct Scene {
    /// In the order of their ports.
    pub(crate) providers: Vec<(&'static str, Script)>,
    /// The names under which the configuration knows this provider.
    pub(crate) homes: fn(&str) -> Vec<String>,
    /// What the configuration says beside listeners and `providers`.
    pub(crate) config: String,
    /// What a provider can be made to play while the scene runs.
    pub(crate) part: fn(&[&str]) -> Option<Script>,
}

impl Scene {
    /// Every provider has one name and plays one part.
    fn new(providers: Vec<(&'static str, Script)>, config: impl Into<String>) -> Self {
        Self {
            providers,
            homes: |name| vec![name.to_owned()],
            config: config.into(),
            part: |_| None,
        }
    }
}

/// The scene of this name.
pub(crate) fn named(name: &str, seed: u64) -> Result<Scene, String> {
    match name {
        CHAOS => Ok(chaos::scene(seed)),
        CHAOS_LIVE => Ok(chaos::scene_with_live_state(seed)),
        LIVE => Ok(live::scene()),
        OUTAGE => Ok(live::scene_of_outage()),
        PRICED => Ok(live::scene_with_prices()),
        SDK => Ok(sdk::scene()),
        WATCH => Ok(watch::scene()),
        _ => of_faults(name, seed).ok_or_else(|| format!(
            "no script {name:?}: there are {CHAOS}, {CHAOS_LIVE}, {FAULTS}PROVIDER, {LIVE}, {OUTAGE}, {PRICED}, {SDK} and {WATCH}"
        )),
    }
}

fn of_faults(name: &str, seed: u64) -> Option<Scene> {
    faults::scene(name.strip_prefix(FAULTS)?, seed)
}
