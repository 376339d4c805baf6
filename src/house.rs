//! One immutable snapshot of all that a request needs. A request takes it
//! once and keeps it, whatever is reloaded meanwhile.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::health::Board;
use crate::upstream::{Pool, Ways};

/// One configuration and the ways to its providers.
pub struct House {
    /// What is meant.
    pub config: Config,
    /// How its providers are reached.
    pub ways: Ways,
    /// What is known of its targets.
    pub board: Board,
}

impl House {
    /// Builds it at this instant; what `before` knows of the same providers and
    /// targets is kept.
    ///
    /// # Errors
    /// A credential file that cannot be read, in one sentence.
    pub fn build(
        config: Config,
        pool: &Pool,
        before: Option<&Self>,
        now: Instant,
    ) -> Result<Self, String> {
        let ways = Ways::new(&config, pool, before.map(|before| &before.ways))?;
        let board = Board::new(&config, before.map(|before| &before.board), now);
        if let Some(before) = before {
            for provider in ways.other_keys(&before.ways) {
                board.credential_changed(provider, board.moment(now));
            }
        }
        Ok(Self {
            config,
            ways,
            board,
        })
    }

    /// Reads credential files again that have changed; a provider with another
    /// credential is asked again at once.
    pub fn refresh_credentials(&self, now: Instant) {
        for provider in self.ways.refresh_credentials() {
            let now = self.board.moment(now);
            self.board.credential_changed(&provider, now);
        }
    }
}

/// The house that new requests take.
pub type Current = Arc<ArcSwap<House>>;
