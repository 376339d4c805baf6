//! What a fuzzer does not find soon by itself.

use super::super::any::any_bytes;
use super::super::frame::{encode, number};
use super::super::payload;
use super::*;

#[test]
fn damage_anywhere_costs_what_it_lies_in() {
    for entry in [usage("a"), Entry::Discarded(thrown_away("b"))] {
        let mut payload = Vec::new();
        payload::write(&entry, &mut payload);
        for at in 0..=255 {
            for (end, byte) in [(0, 0xFF), (at, b'S'), (1, 0)] {
                let how = [end, at, byte, at.wrapping_add(1), b'L', 200, 2];
                any_bytes(&[&how, payload.as_slice()].concat());
            }
        }
        let mut frame = encode(&entry).unwrap();
        number(&mut frame, 7);
        any_bytes(&frame);
    }
}
