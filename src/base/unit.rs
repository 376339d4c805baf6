//! Durations and sizes as a configuration writes them.

use std::fmt;
use std::time::Duration;

/// Why a duration or a size could not be read. The text says what would be
/// right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// The number has no unit, or the unit is none of ours.
    Duration,
    /// The same for sizes.
    Size,
    /// The value does not fit.
    TooLarge,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duration => "a duration has a unit: 250ms, 5s, 2m or 1h",
            Self::Size => "a size has a unit: 512B, 64KiB, 32MiB or 1GiB",
            Self::TooLarge => "the value is too large",
        })
    }
}

impl std::error::Error for UnitError {}

/// Reads `250ms`, `5s`, `2m`, `1h`, also with a fraction (`1.5s`).
///
/// # Errors
/// A bare number, another unit, or a value beyond a hundred years.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text).ok_or(UnitError::Duration)?;
    let seconds = number
        * match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(UnitError::Duration),
        };
    if seconds > 3.2e9 {
        return Err(UnitError::TooLarge);
    }
    // Whole microseconds, so that 0.1s is exactly 100 ms.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded above, and split() lets no sign through"
    )]
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Reads `512B`, `64KiB`, `32MiB`, `1GiB`.
///
/// # Errors
/// A bare number, another unit, a fraction, or more than `usize` holds.
pub fn size(text: &str) -> Result<usize, UnitError> {
    let (_, unit) = split(text).ok_or(UnitError::Size)?;
    let number: usize = text[..text.len() - unit.len()]
        .trim_end()
        .parse()
        .map_err(|_| UnitError::Size)?;
    let scale: usize = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(UnitError::Size),
    };
    number.checked_mul(scale).ok_or(UnitError::TooLarge)
}

/// A plain decimal number and the unit behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("0.1s"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["5", "", "s", "-5s", "5 parsecs", "1e3s", "..s", "5S"] {
            assert_eq!(duration(wrong), Err(UnitError::Duration), "{wrong}");
        }
        assert_eq!(duration("99999999999999h"), Err(UnitError::TooLarge));
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("32MiB"), Ok(33_554_432));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("7B"), Ok(7));
        for wrong in ["64", "64kb", "1.5MiB", "", "-1KiB", "MiB"] {
            assert_eq!(size(wrong), Err(UnitError::Size), "{wrong}");
        }
        assert_eq!(size("99999999999999GiB"), Err(UnitError::TooLarge));
    }
}
