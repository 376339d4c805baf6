//! One immutable snapshot of all that a request needs. A request takes it
//! once and keeps it, whatever is reloaded meanwhile.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;

use crate::access::Access;
use crate::config::{self, Config, OnError};
use crate::health::Board;
use crate::ledger::{Ledger, Reader};
use crate::metrics::Counts;
use crate::spans::Spans;
use crate::transport::Certified;
use crate::upstream::{Pool, Ways};
use crate::walks::Walks;

/// One configuration and the ways to its providers.
pub struct House {
    /// What is meant.
    pub config: Config,
    /// How its providers are reached.
    pub ways: Ways,
    /// How clients are met, by the address where they come in.
    pub certified: Certified,
    /// What is known of its targets.
    pub board: Board,
    /// Who may come in, and how much they have used.
    pub access: Access,
    /// Where usage is written down, if anywhere. The same for as long as the
    /// process lives.
    pub ledger: Option<Arc<Ledger>>,
    /// What is counted; the counters outlive the house.
    pub counts: Counts,
    /// Where requests tell of their spans, if they are exported.
    pub spans: Option<Arc<Spans>>,
    /// What has just happened; outlives the house, too.
    pub walks: Walks,
}

impl House {
    /// Builds it at this instant; what `before` knows of the same providers and
    /// targets is kept.
    ///
    /// # Errors
    /// A credential or certificate file that cannot be read, or a ledger that cannot say what
    /// a new key has spent, in one sentence.
    pub fn build(
        config: Config,
        pool: &Pool,
        ledger: Option<Arc<Ledger>>,
        before: Option<&Self>,
        clocks: Clocks,
    ) -> Result<Self, String> {
        let now = clocks.now;
        let ways = Ways::new(&config, pool, before.map(|before| &before.ways))?;
        let known = before.map(|before| &before.certified);
        let certified = Certified::new(&config.listen, known)?;
        let access = access(&config, ledger.as_deref(), before, clocks.wall)?;
        // From here on nothing fails: what is remembered may be told.
        let board = Board::new(&config, before.map(|before| &before.board), now);
        if let Some(before) = before {
            for provider in ways.other_keys(&before.ways) {
                board.credential_changed(provider, board.moment(now));
            }
        }
        let spans = before.and_then(|before| before.spans.as_ref());
        Ok(Self {
            spans: Spans::of(config.otlp.as_ref(), spans),
            counts: Counts::new(&config, before.map(|before| &before.counts)),
            walks: Walks::new(
                &config,
                before.map(|before| (&before.walks, &before.config)),
            ),
            config,
            ways,
            certified,
            board,
            access,
            ledger,
        })
    }

    /// Whether what is answered now can be written down, or need not be.
    pub fn is_recorded(&self) -> bool {
        let refuses = |ledger: &config::Ledger| ledger.on_error == OnError::Refuse;
        match &self.ledger {
            Some(ledger) if self.config.ledger.as_ref().is_some_and(refuses) => {
                ledger.state().journal.is_none()
            }
            Some(_) | None => true,
        }
    }

    /// Reads credential and certificate files again that have changed; a
    /// provider with another credential is asked again at once.
    pub fn refresh_credentials(&self, now: Instant) {
        self.certified.refresh();
        for provider in self.ways.refresh_credentials() {
            let now = self.board.moment(now);
            self.board.credential_changed(&provider, now);
        }
    }
}

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The one that never goes back.
    pub now: Instant,
    /// The wall's.
    pub wall: SystemTime,
}

fn access(
    config: &Config,
    ledger: Option<&Ledger>,
    before: Option<&House>,
    today: SystemTime,
) -> Result<Access, String> {
    let before = before.map(|before| &before.access);
    let path = ledger.map(Ledger::path);
    if path.is_none() && config.keys.iter().any(|key| key.budget.is_some()) {
        log::warn!("without `ledger`, what keys have spent is forgotten at a restart");
    }
    let reader = path.filter(|_| !config.keys.is_empty()).map(Reader::open);
    let reader = reader.transpose()?;
    let failed = Cell::new(None);
    let spent = |key: &str, since: SystemTime| {
        let spent = reader.as_ref().map(|reader| reader.spent_since(key, since));
        spent
            .transpose()
            .unwrap_or_else(|why| {
                failed.set(Some(why));
                None
            })
            .unwrap_or_default()
    };
    let access = Access::new(config, before, &spent, today);
    failed.into_inner().map_or(Ok(access), Err)
}

/// The house that new requests take.
pub type Current = Arc<ArcSwap<House>>;
