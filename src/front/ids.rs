//! Numbers that do not repeat: request ids, and the dice of weighted targets.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Makes request ids and throws dice. Not for secrets.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    count: AtomicU64,
}

impl Ids {
    /// Differs from process to process.
    pub fn new() -> Self {
        Self {
            seed: RandomState::new().hash_one("standin"),
            count: AtomicU64::new(0),
        }
    }

    /// The next number, spread over all 64 bits (splitmix64's finaliser).
    pub fn dice(&self) -> u64 {
        let step = self.count.fetch_add(1, Ordering::Relaxed);
        let mut z = self
            .seed
            .wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A new request id: 32 hexadecimal digits.
    pub fn request_id(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = u128::from(self.dice()) << 64 | u128::from(self.dice());
        let mut id = [0; 32];
        for (place, digit) in (0_u32..).zip(id.iter_mut().rev()) {
            *digit = DIGITS[((number >> (4 * place)) & 15) as usize];
        }
        HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("none"))
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}
