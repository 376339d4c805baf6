//! Frames: whatever is torn or damaged costs itself and nothing beside it.

use super::super::frame::{Frames, encode, number};
use super::super::payload;
use super::super::record::of_row;
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
            bytes[at..at + 4].copy_from_slice(&[0xFF, b'S', b'L', 2]);
        }
        assert!(found(&bytes).is_empty());
    }
}

#[test]
fn a_payload_is_one_whole_entry_or_none_and_never_has_the_mark_s_first_byte() {
    let mut dice = Dice(0xB17);
    for round in 0..150 {
        let entry = any(&mut dice);
        let mut bytes = Vec::new();
        payload::write(&entry, &mut bytes);
        assert!(!bytes.contains(&0xFF), "round {round}");
        assert_eq!(payload::read(&bytes), Some(entry), "round {round}");
        for cut in 0..bytes.len() {
            assert_eq!(payload::read(&bytes[..cut]), None, "round {round}");
        }
        bytes.push(0);
        assert_eq!(payload::read(&bytes), None, "round {round}");
    }
}

#[test]
fn what_is_no_payload_is_read_to_its_end_and_refused() {
    // A number above 2^128, a text longer than all there is, a list likewise,
    // a byte with its highest bit set.
    assert_eq!(payload::read(&[0x7F; 40]), None);
    assert_eq!(payload::read(&[1, 0, 0x7F, 0x7F, 0x7F, 0x3F]), None);
    assert_eq!(payload::read(&[0x81]), None);
    let mut dice = Dice(0xBAD);
    let mut bytes = Vec::new();
    payload::write(&usage("abc"), &mut bytes);
    for _ in 0..5000 {
        let mut bytes = bytes.clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(bytes.len() as u64) as usize;
            bytes[at] = dice.roll(256) as u8;
        }
        // Whatever it is then: it is told, and nothing panics.
        let _ = payload::read(&bytes);
    }
}

/// An entry of extremes.
fn any(dice: &mut Dice) -> Entry<'static> {
    let mut text = |odds: u64| -> Cow<'static, str> {
        match dice.roll(odds) {
            0 => "".into(),
            1 => "ü\u{0}\u{2028}\u{10FFFF}\u{7F}".into(),
            2 => "x".repeat(5000).into(),
            _ => "a name".into(),
        }
    };
    let (id, key, model) = (text(4), text(4), text(30));
    let requested = vec![text(4), text(4)];
    let mut number = || match dice.roll(4) {
        0 => 0,
        1 => u64::MAX,
        2 => 63,
        _ => 64,
    };
    let tokens = of_row([(); 7].map(|()| number()));
    let cost = match number() {
        0 => None,
        u64::MAX => Some(Usd::from_pico(u128::MAX)),
        other => Some(Usd::from_pico(other.into())),
    };
    if dice.roll(3) == 0 {
        return Entry::Discarded(Discarded {
            key: Some(key),
            tokens: Some(tokens),
            status: Some(u16::MAX),
            model,
            ..thrown_away("x")
        });
    }
    Entry::Usage(Record {
        request_id: id,
        key: Some(key),
        requested,
        model,
        tokens,
        cost,
        ended: Ended::ALL[dice.roll(4) as usize],
        first_token: None,
        ..record("y")
    })
}
