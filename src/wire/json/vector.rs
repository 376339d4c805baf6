//! [`Lanes`] with AVX2, vectors of 32 bytes. The only unsafe code here.
//!
//! Two things need it. A function compiled for an instruction set may only be
//! called where the processor has it: [`Avx2`] cannot be made elsewhere, so
//! having one is the proof. And a vector load takes a raw pointer: it is made
//! from a reference to an array of just the vector's size, and needs no
//! alignment.
//!
//! AVX-512 brings nothing to it: its comparisons of bytes do half as many at
//! a time, as they leave masks instead of vectors.
#![expect(
    unsafe_code,
    reason = "vectors read a string several times as fast as integers do; each use is argued"
)]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_xor_si256,
};
use std::ops::Range;

use super::lanes::{Lanes, Owed};
use super::masks::{Blocks, Masks, Walk, Wide, walk};
use super::scan::{self, Memory};
use super::{Member, Syntax, plain};

/// Proof that the processor has AVX2 and BMI1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The answer is kept by the standard library: asking costs a load.
    #[inline(always)]
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1")).then_some(Self(()))
    }

    /// [`scan::alone`], compiled for this processor.
    #[inline(always)]
    pub(super) fn value(self, doc: &[u8], start: usize, outer: usize) -> Result<usize, Syntax> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::value(doc, start, outer, self) }
    }

    /// [`scan::member`], compiled for this processor.
    #[inline(always)]
    pub(super) fn member(
        self,
        doc: &[u8],
        at: usize,
    ) -> Result<(Range<usize>, Range<usize>), Syntax> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::member(doc, at, self) }
    }

    /// [`scan::members`], compiled for this processor.
    #[inline(always)]
    pub(super) fn members<'a>(
        self,
        doc: &'a [u8],
        at: usize,
        visit: impl FnMut(Member<'a>),
    ) -> Result<usize, Syntax> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::members(doc, at, visit, self) }
    }
}

impl Blocks for Avx2 {
    #[inline(always)]
    fn block(self, bytes: &[u8; 64]) -> Masks {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::block(bytes) }
    }

    #[inline(always)]
    fn wide(self, bytes: &[u8; 64]) -> Wide {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::wide(bytes) }
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn short(self, doc: &[u8], start: usize) -> Option<usize> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::short(doc, start) }
    }

    #[inline(always)]
    fn long(self, doc: &[u8], start: usize, owed: &mut Owed) -> Result<usize, Syntax> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::long(doc, start, owed, self) }
    }

    #[inline(always)]
    fn exact(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::exact(doc, start, self) }
    }

    #[inline(always)]
    fn settle(self, doc: &[u8], owed: &mut Owed) -> bool {
        // SAFETY: `self` proves that the processor can.
        unsafe { plain::settle(doc, owed) };
        !std::mem::take(&mut owed.wrong)
    }

    #[inline(always)]
    fn alike(self, one: &[u8; 64], other: &[u8; 64]) -> usize {
        // SAFETY: `self` proves that the processor can.
        unsafe { avx2::alike(one, other) }
    }
}

/// Characters that may follow a backslash, each in the place of its low four
/// bits, which no two of these share; `r` is left out for the quote. Every
/// other place holds what a byte that reads it cannot be. Bytes with their
/// high bit set read zero.
const TAME: [u8; 16] = *b"\x01\0\"\0t\0f\0\0\0\0\0\0\0n/";

/// Changes just one bit, so that of all bytes only the quote and the control
/// characters come to be [`HIGHEST_STOP`] or less.
const STOP_FLIP: u8 = 0x02;
const HIGHEST_STOP: u8 = b'"' ^ STOP_FLIP;

pub(super) mod avx2 {
    use super::*;

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn value(
        doc: &[u8],
        start: usize,
        outer: usize,
        lanes: Avx2,
    ) -> Result<usize, Syntax> {
        scan::alone(doc, start, outer, lanes)
    }

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn member(
        doc: &[u8],
        at: usize,
        lanes: Avx2,
    ) -> Result<(Range<usize>, Range<usize>), Syntax> {
        scan::member(doc, at, &mut Memory::new(), lanes)
    }

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn members<'a>(
        doc: &'a [u8],
        at: usize,
        visit: impl FnMut(Member<'a>),
        lanes: Avx2,
    ) -> Result<usize, Syntax> {
        scan::members(doc, at, visit, lanes)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn long(
        doc: &[u8],
        start: usize,
        owed: &mut Owed,
        lanes: Avx2,
    ) -> Result<usize, Syntax> {
        plain::long(doc, start, owed, lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn exact(doc: &[u8], start: usize, lanes: Avx2) -> Result<usize, Syntax> {
        match walk(doc, start, false, lanes)? {
            Walk::End(at) | Walk::Plain(at) => Ok(at),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn block(bytes: &[u8; 64]) -> Masks {
        let [low, high] = halves(bytes);
        Masks {
            stops: bits(stops(low), stops(high)),
            backslashes: bits(equal(low, b'\\'), equal(high, b'\\')),
            tame: bits(tame(low), tame(high)),
            wide: _mm256_movemask_epi8(_mm256_or_si256(low, high))
                .cast_unsigned()
                .into(),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn wide(bytes: &[u8; 64]) -> Wide {
        let [low, high] = halves(bytes);
        let delicate = |half| {
            let two = equal(_mm256_and_si256(half, each(0xFE)), 0xC0);
            let three = _mm256_or_si256(equal(half, 0xE0), equal(half, 0xED));
            _mm256_or_si256(two, three)
        };
        // Moving pairs of bytes brings a lower bit of each to its top.
        Wide {
            bit7: bits(low, high),
            bit6: bits(_mm256_slli_epi16(low, 1), _mm256_slli_epi16(high, 1)),
            bit5: bits(_mm256_slli_epi16(low, 2), _mm256_slli_epi16(high, 2)),
            bit4: bits(_mm256_slli_epi16(low, 3), _mm256_slli_epi16(high, 3)),
            delicate: bits(delicate(low), delicate(high)),
        }
    }

    /// [`Lanes::short`], by the 32 bytes from `start` on.
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn short(doc: &[u8], start: usize) -> Option<usize> {
        let rest = doc.get(start..)?;
        let (bytes, before) = match (rest.first_chunk(), doc.last_chunk()) {
            (Some(bytes), _) => (bytes, 0),
            (None, Some(bytes)) => (bytes, 32 - rest.len()),
            (None, None) => return None,
        };
        let bytes = load(bytes);
        let mask = |bytes| u64::from(_mm256_movemask_epi8(bytes).cast_unsigned()) >> before;
        let quotes = mask(equal(bytes, b'"'));
        let others = _mm256_or_si256(equal(bytes, b'\\'), at_most(bytes, 0x1F));
        // What tells a byte from ASCII is its own high bit.
        let others = mask(_mm256_or_si256(others, bytes));
        let up_to_quote = quotes ^ quotes.wrapping_sub(1);
        (quotes != 0 && others & up_to_quote == 0)
            .then(|| start + quotes.trailing_zeros() as usize + 1)
    }

    /// [`Lanes::alike`].
    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn alike(one: &[u8; 64], other: &[u8; 64]) -> usize {
        let ([a, b], [c, d]) = (halves(one), halves(other));
        let same = bits(_mm256_cmpeq_epi8(a, c), _mm256_cmpeq_epi8(b, d));
        same.trailing_ones() as usize
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn halves(bytes: &[u8; 64]) -> [__m256i; 2] {
        let (halves, _) = bytes.as_chunks();
        [load(&halves[0]), load(&halves[1])]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: the reference is to 32 readable bytes; the load needs no
        // alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn each(byte: u8) -> __m256i {
        _mm256_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal(bytes: __m256i, byte: u8) -> __m256i {
        _mm256_cmpeq_epi8(bytes, each(byte))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn at_most(bytes: __m256i, most: u8) -> __m256i {
        _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, each(most)), bytes)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn stops(bytes: __m256i) -> __m256i {
        at_most(_mm256_xor_si256(bytes, each(STOP_FLIP)), HIGHEST_STOP)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn tame_table() -> __m256i {
        table(&TAME)
    }

    /// A table of sixteen for a shuffle, which reads within its own half.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn table(table: &[u8; 16]) -> __m256i {
        // SAFETY: the reference is to 16 readable bytes; the load needs no
        // alignment.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn tame(bytes: __m256i) -> __m256i {
        _mm256_cmpeq_epi8(_mm256_shuffle_epi8(tame_table(), bytes), bytes)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits(low: __m256i, high: __m256i) -> u64 {
        let low = _mm256_movemask_epi8(low).cast_unsigned();
        let high = _mm256_movemask_epi8(high).cast_unsigned();
        u64::from(high) << 32 | u64::from(low)
    }
}
