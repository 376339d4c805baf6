//! What Standin counts, in Prometheus' terms.
//!
//! [`Metrics`] has every family, registered once for as long as the process
//! lives. [`Counts`] has the handles of one configuration: a request that has
//! ended finds those of its model and provider, and adds to them. Gauges of
//! live state, and the ledger's, are read when somebody asks ([`scrape`]).
//!
//! Labels are bounded by the configuration: a model has its name as a label
//! where it is listed in `GET /v1/models`; every other name is `other`.

mod counts;
mod families;
mod labels;
mod scrape;

#[cfg(test)]
mod tests;

pub use self::counts::{Answered, At, Counts};
pub use self::families::Metrics;
pub use self::labels::{Ended, operation};
pub use self::scrape::{Inside, scrape};
