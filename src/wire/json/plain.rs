//! The inside of a long string, passed over as long as it is plain; and the
//! UTF-8 that such a pass leaves to be checked.
//!
//! Plain is what most text is: characters, and backslashes before one that is
//! frequently escaped. Whether a byte fits into that is told by the byte and
//! the one before it alone, so a block is compared with itself read from one
//! byte earlier.

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi16, _mm256_subs_epu8, _mm256_testz_si256, _mm256_xor_si256,
};

use super::Syntax;
use super::lanes::Owed;
use super::masks::{Blocks, Walk, walk, whole_from};
use super::vector::avx2::{each, load, table, tame_table};

/// [`super::lanes::Lanes::long`].
#[inline]
#[target_feature(enable = "avx2,bmi1")]
pub(super) fn long<B: Blocks>(
    doc: &[u8],
    start: usize,
    owed: &mut Owed,
    blocks: B,
) -> Result<usize, Syntax> {
    let mut start = start;
    loop {
        let at = skip(doc, start, owed);
        if let Some([before, b'"']) = doc.get(at - 1..).and_then(<[u8]>::first_chunk)
            && *before != b'\\'
        {
            return Ok(at + 1);
        }
        match closer(doc, at, blocks)? {
            Walk::End(end) => return Ok(end),
            Walk::Plain(at) => start = at,
        }
    }
}

/// Goes on where [`skip`] stopped, until that can go on.
#[inline(never)]
#[target_feature(enable = "avx2,bmi1")]
fn closer<B: Blocks>(doc: &[u8], at: usize, blocks: B) -> Result<Walk, Syntax> {
    walk(doc, whole_from(doc, at), true, blocks)
}

/// The first place from `start` on that is not plain, or one near the
/// document's end. The byte before `start` must not be an escaped backslash;
/// so the one before the place found is none either.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn skip(doc: &[u8], start: usize, owed: &mut Owed) -> usize {
    // The UTF-8 of a block is checked with the three bytes before it and the
    // one after it.
    if start < 3 {
        return start;
    }
    let mut at = start;
    loop {
        let mut count = owed.count;
        let mut rest = doc.get(at - 1..).unwrap_or_default();
        while let Some(window) = rest.first_chunk::<130>()
            && count + 2 <= Owed::MOST
        {
            let before = window.as_chunks::<32>().0;
            let [_, bytes @ ..] = window;
            let bytes = bytes.as_chunks::<32>().0;
            let ([p0, p1, p2, p3], [b0, b1, b2, b3]) = (before, bytes) else {
                break;
            };
            let (b0, b1, b2, b3) = (load(b0), load(b1), load(b2), load(b3));
            let (g0, g1) = (plain(load(p0), b0), plain(load(p1), b1));
            let (g2, g3) = (plain(load(p2), b2), plain(load(p3), b3));
            let low = _mm256_and_si256(g0, g1);
            let high = _mm256_and_si256(g2, g3);
            count = note(owed, count, at, _mm256_or_si256(b0, b1));
            if _mm256_movemask_epi8(_mm256_and_si256(low, high)) != -1 {
                let bad = !bits(g0, g1);
                if bad != 0 {
                    owed.count = count;
                    return at + bad.trailing_zeros() as usize;
                }
                owed.count = note(owed, count, at + 64, _mm256_or_si256(b2, b3));
                return at + 64 + (!bits(g2, g3)).trailing_zeros() as usize;
            }
            count = note(owed, count, at + 64, _mm256_or_si256(b2, b3));
            at += 128;
            rest = rest.get(128..).unwrap_or_default();
        }
        owed.count = count;
        if count + 2 <= Owed::MOST {
            return at;
        }
        settle(doc, owed);
    }
}

/// Notes the block at `at` if `any` of its bytes is not ASCII.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn note(owed: &mut Owed, count: usize, at: usize, any: __m256i) -> usize {
    if let Some(place) = owed.blocks.get_mut(count % Owed::MOST) {
        *place = at;
    }
    count + usize::from(_mm256_movemask_epi8(any) != 0)
}

/// All ones for each byte of `bytes` that is plain after the one `before` it.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn plain(before: __m256i, bytes: __m256i) -> __m256i {
    // One bit is changed so that of all bytes only the quote and the control
    // characters are 0x20 or less; the highest, for the comparison is signed.
    let flipped = _mm256_xor_si256(bytes, each(0x82));
    let inner = _mm256_cmpgt_epi8(flipped, each(0x20 ^ 0x80));
    let tame = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(tame_table(), bytes), bytes);
    let escaped = _mm256_cmpeq_epi8(before, each(b'\\'));
    _mm256_blendv_epi8(inner, tame, escaped)
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn bits(low: __m256i, high: __m256i) -> u64 {
    let low = _mm256_movemask_epi8(low).cast_unsigned();
    let high = _mm256_movemask_epi8(high).cast_unsigned();
    u64::from(high) << 32 | u64::from(low)
}

/// Checks the UTF-8 of all noted blocks, and forgets them.
#[inline(never)]
#[target_feature(enable = "avx2,bmi1")]
pub(super) fn settle(doc: &[u8], owed: &mut Owed) {
    let mut wrong = _mm256_setzero_si256();
    let mut cut = false;
    for at in owed.blocks.iter().take(owed.count) {
        let window = doc.get(at.wrapping_sub(3)..);
        let Some(window) = window.and_then(<[u8]>::first_chunk::<68>) else {
            cut = true;
            continue;
        };
        for half in [0, 32] {
            let from = |place: usize| {
                let bytes = window.get(half + place..).and_then(<[u8]>::first_chunk);
                bytes.unwrap_or(&[0xFF; 32])
            };
            let found = faults(load(from(3)), load(from(2)), load(from(1)), load(from(0)));
            wrong = _mm256_or_si256(wrong, found);
        }
        // A block that ends within a character has its rest in the next one,
        // which is then noted, too.
        let [.., third, second, first, next] = *window;
        let within = (third >= 0xF0) | (second >= 0xE0) | (first >= 0xC0);
        cut |= within & (next & 0xC0 != 0x80);
    }
    owed.count = 0;
    owed.wrong |= cut | (_mm256_testz_si256(wrong, wrong) == 0);
}

/// What can be wrong with a byte and the one before it, as bits.
mod pair {
    /// A first byte is not followed by one that goes on.
    pub(super) const SHORT: u8 = 1;
    /// A byte that goes on follows ASCII.
    pub(super) const LONG: u8 = 1 << 1;
    /// Two bytes for what takes one: 0xC0 or 0xC1.
    pub(super) const TWO_FOR_ONE: u8 = 1 << 2;
    /// Three bytes for what takes two: 0xE0 and less than 0xA0.
    pub(super) const THREE_FOR_TWO: u8 = 1 << 3;
    /// Half of a surrogate pair: 0xED and 0xA0 or more.
    pub(super) const SURROGATE: u8 = 1 << 4;
    /// Past U+10FFFF: 0xF4 or more and 0x90 or more.
    pub(super) const BEYOND: u8 = 1 << 5;
    /// 0xF0 or 0xF5 and more, and less than 0x90: too long, or beyond.
    pub(super) const OUTER_FOUR: u8 = 1 << 6;
    /// Two bytes that go on. Wrong where the second is none of a character's
    /// third or fourth.
    pub(super) const GOES_ON: u8 = 1 << 7;
}

/// Which [`pair`] faults the high four bits of the first byte leave possible.
const FIRST_HIGH: [u8; 16] = {
    use pair::{BEYOND, GOES_ON, LONG, OUTER_FOUR, SHORT, SURROGATE, THREE_FOR_TWO, TWO_FOR_ONE};
    let mut table = [LONG; 16];
    let mut at = 0x8;
    while at < 0xC {
        table[at] = GOES_ON;
        at += 1;
    }
    table[0xC] = SHORT | TWO_FOR_ONE;
    table[0xD] = SHORT;
    table[0xE] = SHORT | THREE_FOR_TWO | SURROGATE;
    table[0xF] = SHORT | BEYOND | OUTER_FOUR;
    table
};

/// Which ones its low four bits leave possible.
const FIRST_LOW: [u8; 16] = {
    use pair::{BEYOND, GOES_ON, LONG, OUTER_FOUR, SHORT, SURROGATE, THREE_FOR_TWO, TWO_FOR_ONE};
    let mut table = [SHORT | LONG | GOES_ON; 16];
    table[0] |= TWO_FOR_ONE | THREE_FOR_TWO | OUTER_FOUR;
    table[1] |= TWO_FOR_ONE;
    table[0xD] |= SURROGATE;
    let mut at = 0x4;
    while at < 0x10 {
        table[at] |= BEYOND;
        if at > 0x4 {
            table[at] |= OUTER_FOUR;
        }
        at += 1;
    }
    table
};

/// Which ones the high four bits of the second byte leave possible.
const SECOND_HIGH: [u8; 16] = {
    use pair::{BEYOND, GOES_ON, LONG, OUTER_FOUR, SHORT, SURROGATE, THREE_FOR_TWO, TWO_FOR_ONE};
    let mut table = [SHORT; 16];
    table[0x8] = LONG | GOES_ON | TWO_FOR_ONE | THREE_FOR_TWO | OUTER_FOUR;
    table[0x9] = LONG | GOES_ON | TWO_FOR_ONE | THREE_FOR_TWO | BEYOND;
    table[0xA] = LONG | GOES_ON | TWO_FOR_ONE | SURROGATE | BEYOND;
    table[0xB] = table[0xA];
    table
};

/// Not zero for each byte that cannot stand after the three before it; the
/// nearest comes first. A character that is not complete at the end is not
/// found wrong.
///
/// Each fault of a pair shows in the four bits that it is looked up by, and is
/// one where all three tables have it. That a character goes on for three or
/// four bytes is told by the bytes two and three places before.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn faults(bytes: __m256i, first: __m256i, second: __m256i, third: __m256i) -> __m256i {
    let low = |bytes| _mm256_and_si256(bytes, each(0x0F));
    let high = |bytes| low(_mm256_srli_epi16(bytes, 4));
    let of_pair = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(table(&FIRST_HIGH), high(first)),
            _mm256_shuffle_epi8(table(&FIRST_LOW), low(first)),
        ),
        _mm256_shuffle_epi8(table(&SECOND_HIGH), high(bytes)),
    );
    // These have their high bit set only from 0xE0 and from 0xF0 on.
    let third_of = _mm256_subs_epu8(second, each(0xE0 - 0x80));
    let fourth_of = _mm256_subs_epu8(third, each(0xF0 - 0x80));
    let goes_on = _mm256_and_si256(_mm256_or_si256(third_of, fourth_of), each(pair::GOES_ON));
    _mm256_xor_si256(of_pair, goes_on)
}
