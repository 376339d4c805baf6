//! Which wire format a provider speaks.

/// A provider's wire format, the configuration's `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Azure OpenAI: the deployment in the path, `api-key`, `api-version`.
    Azure,
    /// OpenAI's API, or one compatible with it.
    OpenAi,
}
