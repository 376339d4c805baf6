//! What an answer used and what that costs: tokens, prices, money.
//!
//! Pure, and exact: money is a whole number of a part of a dollar so small
//! that no price times any count needs rounding.

mod estimate;
mod price;
mod tokens;
mod usd;

pub use estimate::estimate;
pub use price::{Price, PriceError, PriceSet, Rates, per_million};
pub use tokens::Tokens;
pub use usd::{Usd, UsdError};
