//! The words every other room speaks: names, places, secrets, units.
//!
//! Pure: no clock, no socket, no other module of the house.

mod name;
mod places;
mod secret;
mod unit;

pub use name::{Endpoint, ModelName, Named, ProviderName};
pub use places::{Place, Places};
pub use secret::Secret;
pub use unit::{UnitError, duration, size};
