//! What an answer used and what that costs: tokens, prices, money.
//!
//! Pure, and exact: money is a whole number of a part of a dollar so small
//! that no price times any count needs rounding.

mod tokens;
mod usd;

pub use tokens::Tokens;
pub use usd::{Usd, UsdError};
