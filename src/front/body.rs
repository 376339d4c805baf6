//! A request's body while it comes.

use bytes::{Bytes, BytesMut};

/// Room that is made at once for a body of which only the length has come: no
/// memory is touched before its bytes are there.
const STEP: usize = 1 << 20;

/// A body will not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The client has left.
    Gone,
    /// Its framing makes no sense.
    Malformed,
}

/// A body as far as it has come: in one piece, which is the piece that came
/// where there was only one.
#[derive(Debug)]
pub(crate) struct Body {
    first: Bytes,
    /// `first` and what followed it.
    more: BytesMut,
    /// Room that is made at once, in bytes.
    step: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self::in_steps_of(STEP)
    }
}

impl Body {
    /// One for which no more room than this is made at once, until it is longer.
    pub(super) fn in_steps_of(step: usize) -> Self {
        Self {
            first: Bytes::new(),
            more: BytesMut::new(),
            step,
        }
    }

    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        // One of them is empty.
        self.first.len() + self.more.len()
    }

    /// Adds what has come.
    pub(super) fn add(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
        } else {
            self.gather(piece.len());
            self.more.extend_from_slice(&piece);
        }
    }

    /// Room for some of what is still to come; `left` is all of that.
    pub(super) fn room(&mut self, left: u64) -> &mut BytesMut {
        if self.more.is_empty() || self.more.len() == self.more.capacity() {
            let step = self.step.max(self.len());
            self.gather(usize::try_from(left).map_or(step, |left| left.min(step)));
        }
        &mut self.more
    }

    /// All in one buffer, with room for so much more.
    fn gather(&mut self, more: usize) {
        self.more.reserve(self.first.len() + more);
        self.more.extend_from_slice(&self.first);
        self.first = Bytes::new();
    }

    /// All of it.
    pub(crate) fn freeze(self) -> Bytes {
        if self.more.is_empty() {
            self.first
        } else {
            self.more.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn one_piece_stays_itself() {
        let piece = Bytes::from_static(b"whole");
        let mut body = Body::default();
        body.add(Bytes::new());
        body.add(piece.clone());
        assert_eq!(body.len(), 5);
        assert_eq!(body.freeze().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_become_one_and_room_is_made_once() {
        let mut body = Body::default();
        body.add(Bytes::from_static(b"abc"));
        body.room(7).put_slice(b"de");
        let at = body.more.as_ptr();
        body.room(5).put_slice(b"fghij");
        assert_eq!(body.more.as_ptr(), at);
        assert_eq!(body.len(), 10);
        assert_eq!(body.freeze(), "abcdefghij");
    }

    #[test]
    fn a_length_alone_takes_no_room() {
        let mut body = Body::default();
        assert!(body.room(u64::MAX).capacity() <= 2 * STEP);
        body.more.resize(3 * STEP, 1);
        let capacity = body.room(u64::MAX).capacity();
        assert!(capacity <= 8 * STEP, "{capacity}");
    }
}
