//! One immutable snapshot of all that a request needs. A request takes it
//! once and keeps it, whatever is reloaded meanwhile.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::upstream::{Pool, Ways};

/// One configuration and the ways to its providers.
pub struct House {
    /// What is meant.
    pub config: Config,
    /// How its providers are reached.
    pub ways: Ways,
}

impl House {
    /// Builds it; what `before` knows of the same providers is kept.
    ///
    /// # Errors
    /// A credential file that cannot be read, in one sentence.
    pub fn build(config: Config, pool: &Pool, before: Option<&Self>) -> Result<Self, String> {
        let ways = Ways::new(&config, pool, before.map(|before| &before.ways))?;
        Ok(Self { config, ways })
    }
}

/// The house that new requests take.
pub type Current = Arc<ArcSwap<House>>;
