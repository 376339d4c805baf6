//! Which providers there are and what they do, by name.

mod chaos;
mod sdk;

use standin::mock::Script;

/// Every scene has a provider of this name at which connections are refused.
pub(crate) const REFUSED: &str = "refused";

/// Providers, and the configuration of a proxy before them.
pub(crate) struct Scene {
    /// In the order of their ports.
    pub(crate) providers: Vec<(&'static str, Script)>,
    /// What the configuration says beside listeners and `providers`.
    pub(crate) config: &'static str,
}

/// The scene of this name.
pub(crate) fn named(name: &str, seed: u64) -> Result<Scene, String> {
    match name {
        "chaos" => Ok(chaos::scene(seed)),
        "sdk" => Ok(sdk::scene()),
        _ => Err(format!("no script {name:?}: there are chaos and sdk")),
    }
}
