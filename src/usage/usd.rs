//! Money: US dollars, exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

/// Digits after the point: a price per million tokens with six of them, as
/// providers write it with two or three, is a whole number of these for one
/// token.
const DIGITS: usize = 12;
const UNIT: u128 = 10_u128.pow(12);

/// An amount of US dollars, in parts of 10⁻¹². Up to 10²⁶ dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u128);

/// Why an amount could not be read. The text says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsdError {
    /// More digits after the point than are counted.
    Fraction,
    /// It is no decimal number.
    Number,
    /// It does not fit.
    TooLarge,
}

impl fmt::Display for UsdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fraction => "an amount of USD has at most 12 digits after the point",
            Self::Number => "an amount of USD is a decimal number: 2.50",
            Self::TooLarge => "the amount is too large",
        })
    }
}

impl std::error::Error for UsdError {}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many parts of 10⁻¹² dollars.
    pub const fn from_pico(pico: u128) -> Self {
        Self(pico)
    }

    /// In parts of 10⁻¹² dollars.
    pub const fn pico(self) -> u128 {
        self.0
    }

    /// So many times this.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// This less the other, or nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// As a float, for gauges and counters only: never to calculate with.
    #[expect(clippy::cast_precision_loss, reason = "told, not calculated with")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / UNIT as f64
    }
}

/// `2.50`, `0.000001`, `10`: digits, and up to twelve of them after a point.
impl FromStr for Usd {
    type Err = UsdError;

    fn from_str(text: &str) -> Result<Self, UsdError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(UsdError::Number);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DIGITS {
            return Err(UsdError::Fraction);
        }
        let whole: u128 = whole.parse().map_err(|_| UsdError::TooLarge)?;
        let fraction: u128 = format!("{fraction:0<DIGITS$}")
            .parse()
            .map_err(|_| UsdError::Number)?;
        whole
            .checked_mul(UNIT)
            .and_then(|whole| whole.checked_add(fraction))
            .map(Self)
            .ok_or(UsdError::TooLarge)
    }
}

/// All digits that matter, at least two of them after the point.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fraction = [b'0'; DIGITS];
        let mut rest = u64::try_from(self.0 % UNIT).unwrap_or_default();
        for digit in fraction.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0');
        let matter = (DIGITS - zeros.count()).max(2);
        let cents = std::str::from_utf8(&fraction[..matter]).unwrap_or_default();
        write!(f, "{}.{cents}", self.0 / UNIT)
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, pico, written) in [
            ("2.50", 2_500_000_000_000, "2.50"),
            ("0.0000025", 2_500_000, "0.0000025"),
            ("10", 10_000_000_000_000, "10.00"),
            ("0.100000000001", 100_000_000_001, "0.100000000001"),
            ("0", 0, "0.00"),
            ("007.5000000000000", 7_500_000_000_000, "7.50"),
        ] {
            let usd: Usd = text.parse().unwrap();
            assert_eq!(
                (usd.pico(), usd.to_string().as_str()),
                (pico, written),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", ".5", "5.", "-1", "+1", "1e3", "1,5", "0x1", " 1", "NaN", "١",
        ] {
            assert_eq!(text.parse::<Usd>(), Err(UsdError::Number), "{text}");
        }
        assert_eq!("0.0000000000001".parse::<Usd>(), Err(UsdError::Fraction));
        assert_eq!("9".repeat(40).parse::<Usd>(), Err(UsdError::TooLarge));
        assert_eq!("9".repeat(30).parse::<Usd>(), Err(UsdError::TooLarge));
    }

    #[test]
    fn sums_lose_nothing() {
        let tenth: Usd = "0.1".parse().unwrap();
        let sum: Usd = std::iter::repeat_n(tenth, 10).sum();
        assert_eq!(sum, "1".parse().unwrap());
        assert_eq!(tenth.times(1_000_000_007).to_string(), "100000000.70");
        assert_eq!(tenth.saturating_sub(sum), Usd::ZERO);
    }
}
