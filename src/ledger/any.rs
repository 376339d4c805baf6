//! What holds for the journal's bytes, whatever they are: for fuzz targets.

use super::frame::{Frames, encode, number};
use super::payload;
use super::record::Entry;

/// Bytes of a frame before its payload.
const HEAD: usize = 20;

/// Frames that are damaged, and how many of their bytes: few enough that a
/// checksum which still fits is no matter of search.
const FRAMES: u64 = 5;
const DAMAGED: usize = 3;

/// Reads bytes as a segment and as one payload; then damages a segment as they
/// say.
///
/// # Panics
/// A frame is found where none can be, what was read is written as something
/// else, or damage costs more than what it lies in.
pub(crate) fn any_bytes(data: &[u8]) {
    let mut found = 0;
    for frame in Frames::of(data) {
        found += 1;
        if let Some(entry) = frame.entry() {
            same_again(&entry);
        }
    }
    assert!(found * HEAD <= data.len(), "each has a head of its own");
    let Some((how, payload)) = data.split_at_checked(2 * DAMAGED + 1) else {
        return;
    };
    if let Some(entry) = payload::read(payload) {
        same_again(&entry);
        damage(&entry, how);
    }
}

/// What was read once is written as what is read again.
fn same_again(entry: &Entry<'_>) {
    let _ = entry.millis();
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    payload::write(entry, &mut once);
    assert!(!once.contains(&0xFF), "no frame begins in it");
    let again = payload::read(&once);
    assert!(again.is_some(), "what is written can be read");
    again.inspect(|again| payload::write(again, &mut twice));
    assert_eq!(once, twice, "a record stays itself");
}

/// The first byte of `how` says where a segment ends, each two more which byte
/// of it becomes what.
fn damage(entry: &Entry<'_>, how: &[u8]) {
    let Some(mut frame) = encode(entry) else {
        return;
    };
    let size = frame.len();
    let mut segment = Vec::new();
    for seq in 1..=FRAMES {
        number(&mut frame, seq);
        segment.extend_from_slice(&frame);
    }
    let (end, how) = how.split_first().unwrap_or((&0, &[]));
    let whole = segment.clone();
    segment.truncate(whole.len() - usize::from(*end) % size);
    for at in how.chunks_exact(2) {
        // In parts of the whole, so that every size is reached.
        let place = usize::from(at[0]) * segment.len() / 256;
        segment[place] = at[1];
    }
    let is_whole = |seq: &u64| {
        let from = (*seq as usize - 1) * size;
        segment.get(from..from + size) == whole.get(from..from + size)
    };
    let wanted: Vec<u64> = (1..=FRAMES).filter(is_whole).collect();
    let found: Vec<u64> = Frames::of(&segment).map(|frame| frame.seq).collect();
    assert_eq!(found, wanted, "damage costs what it lies in");
}
