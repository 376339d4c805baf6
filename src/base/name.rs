//! Names: what clients call models, what operators call providers, which
//! endpoint was asked.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A table that is filled from the configuration and asked for names of
/// clients: who chooses only what is asked can make no two keys collide, so a
/// quick hash will do.
pub type Named<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A model as a client names it, for example `openai/gpt-4o`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The name as the client wrote it, decoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits at the first slash: the provider's prefix and what follows it.
    pub fn prefix(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }
}

impl From<&str> for ModelName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provider as the configuration names it, for example `openai`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// The name as the configuration wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ProviderName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for ProviderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client can ask for: the endpoints that take `model` and `models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
}

impl Endpoint {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 4] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
    ];

    /// The path below a provider's base URL, with its leading slash.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
        }
    }

    /// The path that clients ask for.
    pub fn route(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
        }
    }

    /// Whether a request without `models` falls back to the model's own
    /// `fallbacks`. Vectors of two models cannot be compared with each other,
    /// and a stored response lives at one provider, so only answers in words
    /// are replaced unasked.
    pub fn takes_fallbacks(self) -> bool {
        match self {
            Self::Chat | Self::Completions => true,
            Self::Embeddings | Self::Responses => false,
        }
    }
}
