//! [`Lanes`] with the vectors of x86-64: AVX2, two of 32 bytes, and AVX-512,
//! one of 64. The only unsafe code here.
//!
//! Two things need it. A function compiled for an instruction set may only be
//! called where the processor has it: [`Avx2`] and [`Avx512`] cannot be made
//! elsewhere, so having one is the proof. And a vector load takes a raw
//! pointer: it is made from a reference to an array of just the vector's size,
//! and needs no alignment.
#![expect(
    unsafe_code,
    reason = "vectors read a string several times as fast as integers do; each use is argued"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8, _mm256_shuffle_epi8,
    _mm256_slli_epi16, _mm256_xor_si256, _mm512_and_si512, _mm512_broadcast_i64x4,
    _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask,
    _mm512_set1_epi8, _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_xor_si512,
};

use super::Syntax;
use super::lanes::{Lanes, Masks, Wide};
use super::{scan, string};

/// Proof that the processor has AVX2 and BMI1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

/// Proof that the processor has AVX-512 F and BW, AVX2 and BMI1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx2 {
    /// The answer is kept by the standard library: asking costs a load.
    #[inline(always)]
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1")).then_some(Self(()))
    }
}

impl Avx512 {
    /// As [`Avx2::detect`].
    #[inline(always)]
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"))
            .then(Avx2::detect)
            .flatten()
            .map(|_| Self(()))
    }
}

/// The same walls around both sets of functions.
macro_rules! lanes {
    ($proof:ident, $functions:ident) => {
        impl $proof {
            /// [`scan::value`], compiled for this processor.
            #[inline(always)]
            pub(super) fn value(
                self,
                doc: &[u8],
                start: usize,
                outer: usize,
            ) -> Result<usize, Syntax> {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::value(doc, start, outer, self) }
            }

            /// [`string::string`], compiled for this processor.
            #[inline(always)]
            pub(super) fn string(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::string(doc, start, self) }
            }
        }

        impl Lanes for $proof {
            #[inline(always)]
            fn block(self, bytes: &[u8; 64]) -> Masks {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::block(bytes) }
            }

            #[inline(always)]
            fn wide(self, bytes: &[u8; 64]) -> Wide {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::wide(bytes) }
            }

            #[inline(always)]
            fn glance(self, bytes: &[u8; 32]) -> (u32, u32) {
                // SAFETY: both proofs cover AVX2.
                unsafe { avx2::glance(bytes) }
            }

            #[inline(always)]
            fn text(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::text(doc, start, self) }
            }

            #[inline(always)]
            fn tail(self, doc: &[u8], at: usize) -> Result<usize, Syntax> {
                // SAFETY: `self` proves that the processor can.
                unsafe { $functions::tail(doc, at, self) }
            }
        }
    };
}

lanes!(Avx2, avx2);
lanes!(Avx512, avx512);

/// Characters that may follow a backslash, each in the place of its low four
/// bits, which no two of these share; `r` is left out for the quote. Every other place holds what a byte that
/// reads it cannot be. Bytes with their high bit set read zero.
const TAME: [u8; 16] = *b"\x01\0\"\0t\0f\0\0\0\0\0\0\0n/";

/// Changes just one bit, so that of all bytes only the quote and the control
/// characters come to be [`HIGHEST_STOP`] or less.
const STOP_FLIP: u8 = 0x02;
const HIGHEST_STOP: u8 = b'"' ^ STOP_FLIP;

mod avx2 {
    use super::*;

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn value(
        doc: &[u8],
        start: usize,
        outer: usize,
        lanes: Avx2,
    ) -> Result<usize, Syntax> {
        scan::value(doc, start, outer, lanes)
    }

    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn string(doc: &[u8], start: usize, lanes: Avx2) -> Result<usize, Syntax> {
        string::string(doc, start, lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn text(doc: &[u8], start: usize, lanes: Avx2) -> Result<usize, Syntax> {
        string::text(doc, start, lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn tail(doc: &[u8], at: usize, lanes: Avx2) -> Result<usize, Syntax> {
        string::tail(doc, at, lanes)
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

    #[inline]
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn glance(bytes: &[u8; 32]) -> (u32, u32) {
        let bytes = load(bytes);
        let others = _mm256_or_si256(equal(bytes, b'\\'), at_most(bytes, 0x1F));
        // What tells a byte from ASCII is its own high bit.
        let others = _mm256_or_si256(others, bytes);
        let mask = |bytes| _mm256_movemask_epi8(bytes).cast_unsigned();
        (mask(equal(bytes, b'"')), mask(others))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn halves(bytes: &[u8; 64]) -> [__m256i; 2] {
        let (halves, _) = bytes.as_chunks();
        [load(&halves[0]), load(&halves[1])]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: the reference is to 32 readable bytes; the load needs no
        // alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn each(byte: u8) -> __m256i {
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
    pub(super) fn tame_table() -> __m256i {
        const T: [i8; 16] = {
            let mut table = [0; 16];
            let mut at = 0;
            while at < 16 {
                table[at] = TAME[at].cast_signed();
                at += 1;
            }
            table
        };
        // A shuffle reads within its own sixteen bytes.
        _mm256_setr_epi8(
            T[0], T[1], T[2], T[3], T[4], T[5], T[6], T[7], T[8], T[9], T[10], T[11], T[12], T[13],
            T[14], T[15], T[0], T[1], T[2], T[3], T[4], T[5], T[6], T[7], T[8], T[9], T[10], T[11],
            T[12], T[13], T[14], T[15],
        )
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

mod avx512 {
    use super::*;

    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn value(
        doc: &[u8],
        start: usize,
        outer: usize,
        lanes: Avx512,
    ) -> Result<usize, Syntax> {
        scan::value(doc, start, outer, lanes)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn string(doc: &[u8], start: usize, lanes: Avx512) -> Result<usize, Syntax> {
        string::string(doc, start, lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn text(doc: &[u8], start: usize, lanes: Avx512) -> Result<usize, Syntax> {
        string::text(doc, start, lanes)
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn tail(doc: &[u8], at: usize, lanes: Avx512) -> Result<usize, Syntax> {
        string::tail(doc, at, lanes)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn block(bytes: &[u8; 64]) -> Masks {
        let bytes = load(bytes);
        let stops = _mm512_xor_si512(bytes, each(STOP_FLIP));
        let tame = _mm512_shuffle_epi8(_mm512_broadcast_i64x4(avx2::tame_table()), bytes);
        Masks {
            stops: _mm512_cmple_epu8_mask(stops, each(HIGHEST_STOP)),
            backslashes: equal(bytes, b'\\'),
            tame: _mm512_cmpeq_epi8_mask(tame, bytes),
            wide: _mm512_movepi8_mask(bytes),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
    pub(super) fn wide(bytes: &[u8; 64]) -> Wide {
        let bytes = load(bytes);
        let two = _mm512_cmpeq_epi8_mask(_mm512_and_si512(bytes, each(0xFE)), each(0xC0));
        // Moving pairs of bytes brings a lower bit of each to its top.
        Wide {
            bit7: _mm512_movepi8_mask(bytes),
            bit6: _mm512_movepi8_mask(_mm512_slli_epi16(bytes, 1)),
            bit5: _mm512_movepi8_mask(_mm512_slli_epi16(bytes, 2)),
            bit4: _mm512_movepi8_mask(_mm512_slli_epi16(bytes, 3)),
            delicate: two | equal(bytes, 0xE0) | equal(bytes, 0xED),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: the reference is to 64 readable bytes; the load needs no
        // alignment.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn each(byte: u8) -> __m512i {
        _mm512_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn equal(bytes: __m512i, byte: u8) -> u64 {
        _mm512_cmpeq_epi8_mask(bytes, each(byte))
    }
}
