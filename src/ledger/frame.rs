//! A frame: one record in the journal, with all that is needed to find it
//! again among torn and damaged ones. Pure bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | mark: `0xFF`, `S`, `L`, version |
//! | 4 | length of the payload, little endian |
//! | 4 | CRC-32 of all that follows, and of the length |
//! | 8 | number of the record, little endian |
//! | … | [payload](super::payload), which never has a byte `0xFF` |

use memchr::memmem;

use super::payload;
use super::record::Entry;

/// The last byte is the version of everything in the frame.
const MARK: [u8; 4] = [0xFF, b'S', b'L', 2];

const HEAD: usize = 20;

/// Most records fit, and allocators have something of that size at hand.
const USUAL: usize = 1000;

/// The longest payload: no request that is let in comes near it.
pub(super) const LONGEST: usize = 64 << 20;

/// A frame that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) seq: u64,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What is in it; `None` where that is no entry of this version.
    pub(super) fn entry(&self) -> Option<Entry<'a>> {
        payload::read(self.payload)
    }

    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> usize {
        HEAD + self.payload.len()
    }

    /// Writes the same record under another number.
    pub(super) fn renumbered(&self, seq: u64, into: &mut Vec<u8>) {
        let from = into.len();
        // Only whole frames are here, so its length fits.
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        into.extend_from_slice(&MARK);
        into.extend_from_slice(&length.to_le_bytes());
        into.resize(from + HEAD, 0);
        into.extend_from_slice(self.payload);
        if let Some(frame) = into.get_mut(from..) {
            number(frame, seq);
        }
    }
}

/// A frame that still lacks its number; `None` where it would be too long.
pub(super) fn encode(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(USUAL);
    frame.resize(HEAD, 0);
    payload::write(entry, &mut frame);
    let length = frame.len() - HEAD;
    let length = u32::try_from(length).ok().filter(|_| length <= LONGEST)?;
    let (head, _) = frame.split_at_mut_checked(HEAD)?;
    head[..4].copy_from_slice(&MARK);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    Some(frame)
}

/// The number of those that get theirs later. Numbers begin with 1.
pub(super) const UNNUMBERED: u64 = 0;

/// Gives a frame its number, and with it its checksum.
pub(super) fn number(frame: &mut [u8], seq: u64) {
    if let Some((head, payload)) = frame.split_at_mut_checked(HEAD) {
        head[12..].copy_from_slice(&seq.to_le_bytes());
        let check = checksum(&head[4..8], &head[12..], payload);
        head[8..12].copy_from_slice(&check.to_le_bytes());
    }
}

fn checksum(length: &[u8], seq: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(seq);
    hasher.update(payload);
    hasher.finalize()
}

/// The whole frames of some bytes, in order; what lies between them is
/// skipped.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += memmem::find(rest, &MARK)?;
            match first(self.bytes.get(self.at..)?) {
                Some(frame) => {
                    self.at += HEAD + frame.payload.len();
                    return Some(frame);
                }
                None => self.at += 1,
            }
        }
    }
}

/// The frame that begins with the first byte.
fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (mark, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let whole = *mark == MARK && checksum(length, seq, payload) == u32::from_le_bytes(*check);
    whole.then_some(Frame {
        seq: u64::from_le_bytes(*seq),
        payload,
    })
}
