//! The way out: connections to providers. HTTP/1.1 is our own, HTTP/2 is
//! pingora's.
//!
//! One pool for the whole process; one `Line` for each provider of a
//! configuration.

pub(crate) mod answer;
mod exchange;
mod head;
mod http1;
mod http2;
mod idle;
mod line;
mod passing;
mod place;
mod post;
mod trust;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v2::Connector;

use self::exchange::Call;
use self::line::Line;
pub use self::passing::{Length, Passing};
pub use self::post::Post;
use self::trust::Trust;
use crate::base::ProviderName;
use crate::config::{Config, Provider, Target};
use crate::seam::{Broken, Out};

/// More interim answers than this are no HTTP that makes sense.
const MAX_INTERIM: usize = 16;

/// The process's connections to providers. Survives reloads.
#[derive(Clone)]
pub struct Pool {
    /// Keeps connections that speak HTTP/2.
    connector: Arc<Connector>,
    /// How many idle ones speak HTTP/1.1.
    idle: Arc<AtomicUsize>,
    /// How everyone is met who says nothing else.
    public: Trust,
}

impl Pool {
    /// An empty pool.
    ///
    /// # Errors
    /// The system's certificates cannot be read, in one sentence.
    pub fn new() -> Result<Self, String> {
        // The connector reads them again, and panics where it cannot.
        let public = Trust::public()?;
        let options = ConnectorOptions::new(idle::MOST);
        Ok(Self {
            connector: Arc::new(Connector::new(Some(options))),
            idle: Arc::default(),
            public,
        })
    }
}

/// The ways to all providers of one configuration.
pub struct Ways {
    pool: Pool,
    /// In the order of the configuration.
    lines: Vec<(ProviderName, Arc<Line>)>,
}

impl Ways {
    /// Reads credential and certificate files; addresses are looked up when they are first
    /// needed or in the background, those of `before` are kept.
    ///
    /// # Errors
    /// A file that cannot be read, in one sentence.
    pub fn new(config: &Config, pool: &Pool, before: Option<&Self>) -> Result<Self, String> {
        let mut lines = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let known = before.and_then(|before| before.named(&provider.name));
            let line = Line::new(provider, pool, known)?;
            lines.push((provider.name.clone(), Arc::new(line)));
        }
        Ok(Self {
            pool: pool.clone(),
            lines,
        })
    }

    /// Gets a connection to a provider for a request that is passed through;
    /// `fresh` asks for one that is not from the pool.
    ///
    /// # Errors
    /// There is none.
    pub async fn pass(&self, provider: &Provider, fresh: bool) -> Result<Box<Call>, Broken> {
        self.call(provider, provider.timeouts.connect, fresh, |_| {
            String::new()
        })
        .await
    }

    async fn call(
        &self,
        provider: &Provider,
        longest: Duration,
        fresh: bool,
        model: impl FnOnce(&Line) -> String,
    ) -> Result<Box<Call>, Broken> {
        let line = self.lines.get(provider.index);
        let line = line.filter(|(name, _)| *name == provider.name);
        let (_, line) = line.ok_or(Broken::Connect)?;
        let opened = line.open(&self.pool.connector, longest, fresh);
        let opened = opened.await?;
        let connector = Arc::clone(&self.pool.connector);
        Ok(Call::new(connector, Arc::clone(line), model(line), opened))
    }

    fn named(&self, name: &ProviderName) -> Option<&Line> {
        let line = self.lines.iter().find(|(own, _)| own == name);
        line.map(|(_, line)| line.as_ref())
    }

    /// The providers that are asked with another key than before. A reload
    /// reads credential files too, and what is in them is known here only.
    pub fn other_keys<'a>(&'a self, before: &Self) -> impl Iterator<Item = &'a ProviderName> {
        let others = self.lines.iter().filter(|(name, line)| {
            let known = before.named(name);
            known.is_some_and(|known| !line.has_same_key(known))
        });
        others.map(|(name, _)| name)
    }

    /// Looks all addresses up again.
    pub async fn refresh_addresses(&self) {
        for (_, line) in &self.lines {
            line.refresh_addresses().await;
        }
    }

    /// Lets idle connections go that are closed or too old.
    pub fn sweep(&self) {
        for (_, line) in &self.lines {
            line.sweep();
        }
    }

    /// Reads credential and certificate files again that have changed; gives
    /// the providers that have another credential now.
    pub fn refresh_credentials(&self) -> Vec<ProviderName> {
        let mut changed = Vec::new();
        for (name, line) in &self.lines {
            line.refresh_trust(&self.pool.public);
            if line.refresh_credential() {
                changed.push(name.clone());
            }
        }
        changed
    }
}

impl Out for Ways {
    type Exchange = Box<Call>;

    async fn open(&self, target: &Target, fresh: bool) -> Result<Box<Call>, Broken> {
        let model = |line: &Line| {
            let model = line.names_models().then(|| target.upstream_model.clone());
            model.unwrap_or_default()
        };
        self.call(&target.provider, target.timeouts.connect, fresh, model)
            .await
    }
}
