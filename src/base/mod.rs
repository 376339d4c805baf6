//! The words every other room speaks: names, secrets, units.
//!
//! Pure: no clock, no socket, no other module of the house.

mod name;
mod secret;
mod unit;

pub use name::{Endpoint, ModelName, ProviderName};
pub use secret::Secret;
pub use unit::{UnitError, duration, size};
