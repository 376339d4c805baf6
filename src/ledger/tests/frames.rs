//! Frames: whatever is torn or damaged costs itself and nothing beside it.

use super::super::frame::{Frames, encode, number};
use super::*;

fn framed(entry: &Entry<'_>, seq: u64) -> Vec<u8> {
    let mut frame = encode(entry).unwrap();
    number(&mut frame, seq);
    frame
}

fn found(bytes: &[u8]) -> Vec<u64> {
    Frames::of(bytes).map(|frame| frame.seq).collect()
}

#[test]
fn an_entry_comes_back_as_it_was() {
    let mut bare = record("");
    bare.key = None;
    bare.cost = None;
    bare.prices = None;
    bare.first_token = None;
    bare.time = at(START) + Duration::from_millis(7);
    bare.ended = Ended::ClientGone;
    let mut dear = record("ü\u{0}\u{2028}");
    dear.cost = Some(Usd::from_pico(u128::MAX));
    dear.tokens.input = u64::MAX;
    for entry in [
        usage("plain"),
        Entry::Usage(bare),
        Entry::Usage(dear),
        Entry::Discarded(thrown_away("x")),
        Entry::Discarded(Discarded {
            tokens: None,
            status: None,
            ..thrown_away("y")
        }),
    ] {
        let bytes = framed(&entry, 7);
        let mut frames = Frames::of(&bytes);
        let frame = frames.next().unwrap();
        assert_eq!((frame.seq, frame.entry()), (7, Some(entry)));
        assert!(frames.next().is_none());
    }
}

#[test]
fn a_frame_torn_at_any_byte_takes_no_other_with_it() {
    let [one, two, three] = [1, 2, 3].map(|seq| framed(&usage("abc"), seq));
    for cut in 0..two.len() {
        let torn = &two[..cut];
        let then_end = [&one, torn].concat();
        assert_eq!(found(&then_end), [1], "cut at {cut}");
        let then_more = [&one, torn, &three].concat();
        assert_eq!(found(&then_more), [1, 3], "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_frame() {
    let frames = [1, 2, 3].map(|seq| framed(&usage("abc"), seq));
    let whole = frames.concat();
    for at in frames[0].len()..frames[0].len() + frames[1].len() {
        for bit in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            assert_eq!(found(&bytes), [1, 3], "{bit} at {at}");
        }
    }
}

#[test]
fn noise_is_no_frame() {
    let mut dice = Dice(0x5EED);
    for _ in 0..200 {
        let mut bytes: Vec<u8> = (0..500).map(|_| dice.roll(256) as u8).collect();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(490) as usize;
            bytes[at..at + 4].copy_from_slice(&[0xFF, b'S', b'L', 1]);
        }
        assert!(found(&bytes).is_empty());
    }
}
