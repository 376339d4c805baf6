//! What matters within a string, for 64 bytes at a time; and the choice of
//! how that is found on this machine.
//!
//! The portable way works on words of eight bytes in plain integers, which
//! compilers turn into whatever vectors the target always has (SSE2, NEON).

use super::Syntax;
#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::{scan, string};

/// One bit for each of 64 bytes, the first byte's lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    /// Quotes and control characters: what can end a string.
    pub(super) stops: u64,
    /// Backslashes.
    pub(super) backslashes: u64,
    /// Characters that may stand after a backslash and need no second look. It
    /// is enough that the frequent ones are among them; `u` and the backslash
    /// itself must not be.
    pub(super) tame: u64,
    /// Zero if all bytes are ASCII; [`Lanes::wide`] says which are not.
    pub(super) wide: u64,
}

impl Masks {
    /// Without the first `count` bytes, fewer than 64.
    pub(super) fn from(self, count: usize) -> Self {
        Self {
            stops: self.stops >> count,
            backslashes: self.backslashes >> count,
            tame: self.tame >> count,
            wide: self.wide,
        }
    }

    /// Whether these are nothing but the inside of a string, in ASCII and
    /// without two backslashes in a row: then the escaped bytes are simply
    /// those after a backslash. Most blocks are answered by this alone.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        let followers = self.backslashes << 1;
        let hangs = self.backslashes >> 63;
        (self.stops & !followers) | (followers & !self.tame) | self.wide | hangs == 0
    }

    /// The bytes that a backslash escapes, where the first byte is not one.
    ///
    /// In a run of backslashes every second one is escaped, and the byte after
    /// the run where its length is odd. So these are the bytes after each
    /// backslash whose distance from the run's start is odd: the odd places
    /// for a run that starts at an even one, and the other way round. Adding
    /// the starts to the runs carries through a run and so marks the whole of
    /// those that start at even places.
    #[inline(always)]
    pub(super) fn escaped(self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let runs = self.backslashes;
        let followers = runs << 1;
        let even_starts = runs & !followers & EVEN;
        let even_runs = runs.wrapping_add(even_starts) ^ runs;
        followers & (even_runs ^ EVEN)
    }
}

/// The bits of 64 bytes by which UTF-8 is told: bit 7 of each byte, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) bit7: u64,
    pub(super) bit6: u64,
    pub(super) bit5: u64,
    pub(super) bit4: u64,
    /// The bytes 0xC0, 0xC1, 0xE0 and 0xED: some of what they could begin is
    /// not allowed. The same goes for bytes from 0xF0 on.
    pub(super) delicate: u64,
}

impl Wide {
    /// Without the first `count` bytes, fewer than 64.
    pub(super) fn from(self, count: usize) -> Self {
        Self {
            bit7: self.bit7 >> count,
            bit6: self.bit6 >> count,
            bit5: self.bit5 >> count,
            bit4: self.bit4 >> count,
            delicate: self.delicate >> count,
        }
    }
}

/// A way to look at many bytes at once.
pub(super) trait Lanes: Copy {
    /// The masks of 64 bytes.
    fn block(self, bytes: &[u8; 64]) -> Masks;

    /// The bits of 64 bytes of which some are not ASCII.
    fn wide(self, bytes: &[u8; 64]) -> Wide;

    /// For 32 bytes: the quotes, and whatever makes a string more than plain
    /// (backslashes, control characters, not ASCII).
    fn glance(self, bytes: &[u8; 32]) -> (u32, u32);

    /// [`string::text`] with these lanes, compiled out of line.
    fn text(self, doc: &[u8], start: usize) -> Result<usize, Syntax>;

    /// [`string::tail`] with these lanes, compiled out of line.
    fn tail(self, doc: &[u8], at: usize) -> Result<usize, Syntax>;
}

/// The best lanes that this machine has; asked for once for each document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Best {
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    Portable(Portable),
}

impl Best {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = Avx512::detect() {
                return Self::Avx512(lanes);
            }
            if let Some(lanes) = Avx2::detect() {
                return Self::Avx2(lanes);
            }
        }
        Self::Portable(Portable)
    }

    /// Checks the value at `start`, `outer` levels deep; returns where it
    /// ends.
    pub(super) fn value(self, doc: &[u8], start: usize, outer: usize) -> Result<usize, Syntax> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.value(doc, start, outer),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => lanes.value(doc, start, outer),
            Self::Portable(lanes) => scan::value(doc, start, outer, lanes),
        }
    }

    /// Checks the string whose inside begins at `start`; returns where its
    /// closing quote ends.
    pub(super) fn string(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.string(doc, start),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => lanes.string(doc, start),
            Self::Portable(lanes) => string::string(doc, start, lanes),
        }
    }
}

/// The way that needs nothing but integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

/// A byte in each of eight places.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);
const LOW: u64 = each(0x7F);

/// The high bit of each byte of `word` that is `byte`.
#[inline(always)]
fn same(word: u64, byte: u8) -> u64 {
    let differs = word ^ each(byte);
    !(((differs & LOW) + LOW) | differs) & HIGH
}

/// The high bit of each byte of `word` below 0x20.
#[inline(always)]
fn control(word: u64) -> u64 {
    !(((word & LOW) + each(0x60)) | word) & HIGH
}

/// The eight high bits of a word as the lowest bits, in the bytes' order.
#[inline(always)]
fn gather(high: u64) -> u64 {
    // Moves the bit at 8·i to 56 + i; no two of the products meet.
    const MOVE: u64 = 0x0102_0408_1020_4080;
    (high >> 7).wrapping_mul(MOVE) >> 56
}

/// Whether any byte is not plain ASCII within a string. As only a hit can
/// borrow from the byte above it, the answer is exact for the word as a whole.
#[inline(always)]
fn is_special(word: u64) -> u64 {
    const ONE: u64 = each(1);
    let quote = word ^ each(b'"');
    let backslash = word ^ each(b'\\');
    (quote.wrapping_sub(ONE) & !quote)
        | (backslash.wrapping_sub(ONE) & !backslash)
        | (word.wrapping_sub(each(0x20)) & !word)
        | word
}

impl Lanes for Portable {
    #[inline(always)]
    fn block(self, bytes: &[u8; 64]) -> Masks {
        let (words, _) = bytes.as_chunks::<8>();
        let any = words
            .iter()
            .fold(0, |any, word| any | is_special(u64::from_le_bytes(*word)));
        let mut masks = Masks::default();
        if any & HIGH == 0 {
            return masks;
        }
        for (place, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // Most words are plain even in a block that is not. That their
            // tame characters are not told costs a second look at times.
            if is_special(word) & HIGH == 0 {
                continue;
            }
            let backslashes = same(word, b'\\');
            let quotes = same(word, b'"');
            let at = 8 * place;
            masks.stops |= gather(quotes | control(word)) << at;
            masks.backslashes |= gather(backslashes) << at;
            masks.tame |= gather(quotes | same(word, b'n')) << at;
            masks.wide |= word & HIGH;
        }
        masks
    }

    #[inline(never)]
    fn wide(self, bytes: &[u8; 64]) -> Wide {
        let mut wide = Wide::default();
        for (place, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let bits = |word| gather(word & HIGH) << (8 * place);
            wide.bit7 |= bits(word);
            wide.bit6 |= bits(word << 1);
            wide.bit5 |= bits(word << 2);
            wide.bit4 |= bits(word << 3);
            let two = same(word & each(0xFE), 0xC0);
            wide.delicate |= bits(two | same(word, 0xE0) | same(word, 0xED));
        }
        wide
    }

    #[inline(always)]
    fn glance(self, bytes: &[u8; 32]) -> (u32, u32) {
        let (words, _) = bytes.as_chunks::<8>();
        let (mut quotes, mut others) = (0, 0);
        for (place, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let other = same(word, b'\\') | control(word) | (word & HIGH);
            quotes |= (gather(same(word, b'"')) as u32) << (8 * place);
            others |= (gather(other) as u32) << (8 * place);
        }
        (quotes, others)
    }

    #[inline(never)]
    fn text(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
        string::text(doc, start, self)
    }

    #[inline(never)]
    fn tail(self, doc: &[u8], at: usize) -> Result<usize, Syntax> {
        string::tail(doc, at, self)
    }
}
