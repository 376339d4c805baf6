//! What is on its way to a client: gathered while it is small, in one vectored
//! write where it is large, and never lost where a write is given up half-way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// Up to this size, copying costs less than one more piece in a vectored
/// write.
const SMALL: usize = 1 << 10;

/// What is kept for the next write, in bytes: an open stream has one such
/// buffer.
const KEPT: usize = 2 << 10;

/// Pieces in one vectored write.
const PIECES: usize = 16;

/// Bytes that are to go out, in order: first those that were gathered, then
/// whole pieces.
#[derive(Debug, Default)]
pub(super) struct Out {
    gathered: Vec<u8>,
    /// How much of `gathered` is out.
    gone: usize,
    /// Behind it.
    pieces: Vec<Bytes>,
    /// How many of `pieces` are out.
    passed: usize,
    /// What is out may still wait in the connection.
    is_held: bool,
}

impl Out {
    /// Everything is out, and on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.is_written() && !self.is_held
    }

    fn is_written(&self) -> bool {
        self.gone == self.gathered.len() && self.passed == self.pieces.len()
    }

    /// Makes room for a head that is about to be written.
    pub(super) fn reserve(&mut self, size: usize) {
        self.gathered.reserve(size);
    }

    /// Adds a copy of these.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.pieces.is_empty() {
            self.gathered.extend_from_slice(bytes);
        } else {
            self.pieces.push(Bytes::copy_from_slice(bytes));
        }
    }

    /// Adds all of these: as they are, but for small ones.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() <= SMALL && self.pieces.is_empty() {
            self.gathered.extend_from_slice(&piece);
        } else if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// The same for many.
    pub(super) fn push_all(&mut self, pieces: Vec<Bytes>) {
        let size: usize = pieces.iter().map(Bytes::len).sum();
        if size > SMALL && self.pieces.is_empty() {
            self.pieces = pieces;
        } else {
            pieces.into_iter().for_each(|piece| self.push(piece));
        }
    }

    /// Gives its buffers up. What has not gone out never will.
    pub(super) fn give_up(&mut self) {
        *self = Self::default();
    }

    /// Writes all of it. What is out when this is given up is not written
    /// again.
    pub(super) fn poll_out<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let gathered = self.gathered.get(self.gone..).unwrap_or_default();
            let pieces = self.pieces.get(self.passed..).unwrap_or_default();
            let to = Pin::new(&mut *to);
            let wrote = if pieces.is_empty() {
                to.poll_write(context, gathered)
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let all = std::iter::once(gathered).chain(pieces.iter().map(|piece| &**piece));
                let all = all.filter(|piece| !piece.is_empty());
                let filled = slices.iter_mut().zip(all);
                let count = filled.map(|(slice, piece)| *slice = IoSlice::new(piece));
                let count = count.count();
                to.poll_write_vectored(context, slices.get(..count).unwrap_or_default())
            };
            match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => self.pass(wrote),
            }
            self.is_held = true;
        }
        self.clear();
        ready!(Pin::new(to).poll_flush(context))?;
        self.is_held = false;
        Poll::Ready(Ok(()))
    }

    /// So many more bytes are out.
    fn pass(&mut self, mut wrote: usize) {
        let gathered = wrote.min(self.gathered.len() - self.gone);
        self.gone += gathered;
        wrote -= gathered;
        while let Some(piece) = self.pieces.get_mut(self.passed) {
            if wrote < piece.len() {
                *piece = piece.slice(wrote..);
                return;
            }
            wrote -= piece.len();
            // What is out is not kept until the rest is.
            *piece = Bytes::new();
            self.passed += 1;
        }
    }

    fn clear(&mut self) {
        self.gathered.clear();
        (self.gone, self.passed) = (0, 0);
        self.pieces.clear();
        if self.gathered.capacity() > KEPT {
            self.gathered = Vec::new();
        }
        if self.pieces.capacity() > PIECES {
            self.pieces = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Takes at most so many bytes at a time, and is not ready every third
    /// time.
    #[derive(Debug, Default)]
    struct Narrow {
        takes: usize,
        asked: usize,
        writes: usize,
        got: Vec<u8>,
        /// So many flushes have to wait.
        holds: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            piece: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(piece)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.asked += 1;
            if self.takes < 1000 && self.asked.is_multiple_of(3) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.writes += 1;
            let mut left = self.takes;
            for piece in pieces {
                let taken = piece.len().min(left);
                self.got.extend_from_slice(&piece[..taken]);
                left -= taken;
            }
            Poll::Ready(Ok(self.takes - left))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.holds > 0 {
                self.holds -= 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn narrow(takes: usize) -> Narrow {
        Narrow {
            takes,
            ..Narrow::default()
        }
    }

    async fn out(out: &mut Out, to: &mut Narrow) {
        poll_fn(|context| out.poll_out(context, to)).await.unwrap();
    }

    fn piece(nth: usize, size: usize) -> Bytes {
        (0..size).map(|at| (at * 31 + nth) as u8).collect()
    }

    #[tokio::test]
    async fn all_arrives_in_order_however_narrow_the_way() {
        for takes in [1, 7, 99, 5000, usize::MAX] {
            let (mut this, mut to) = (Out::default(), narrow(takes));
            let mut wanted = Vec::new();
            let sizes = [0, 1, SMALL, SMALL + 1, 3, 9000, 5, 0, SMALL - 1];
            for (nth, size) in sizes.iter().cycle().take(60).enumerate() {
                let bytes = piece(nth, *size);
                wanted.extend_from_slice(&bytes);
                match nth % 3 {
                    0 => this.put(&bytes),
                    1 => this.push(bytes),
                    _ => {
                        wanted.extend_from_slice(&bytes);
                        this.push_all(vec![bytes.clone(), Bytes::new(), bytes]);
                    }
                }
                if nth % 5 == 0 {
                    out(&mut this, &mut to).await;
                    assert!(to.got == wanted, "{takes}: after {nth}");
                    assert!(this.gathered.capacity() <= KEPT);
                }
            }
            out(&mut this, &mut to).await;
            assert!(to.got == wanted, "{takes}");
        }
    }

    #[tokio::test]
    async fn a_write_that_is_given_up_goes_on_where_it_was() {
        for takes in [1, 10, 700] {
            let (mut this, mut to) = (Out::default(), narrow(takes));
            let mut wanted = Vec::new();
            for nth in 0..50 {
                let piece = piece(nth, nth * 61);
                wanted.extend_from_slice(&piece);
                this.push(piece);
                let once = poll_fn(|context| Poll::Ready(this.poll_out(context, &mut to)));
                let _ = once.await.is_pending();
            }
            out(&mut this, &mut to).await;
            assert!(to.got == wanted, "{takes}");
        }
    }

    #[tokio::test]
    async fn what_a_connection_still_holds_is_not_forgotten() {
        let (mut this, mut to) = (Out::default(), narrow(usize::MAX));
        to.holds = 2;
        this.put(b"an event");
        for _ in 0..2 {
            let once = poll_fn(|context| Poll::Ready(this.poll_out(context, &mut to)));
            assert!(once.await.is_pending());
            assert!(!this.is_empty());
        }
        out(&mut this, &mut to).await;
        assert!(this.is_empty());
        assert_eq!((to.writes, &*to.got), (1, &b"an event"[..]));
    }

    #[tokio::test]
    async fn a_head_and_its_body_leave_in_one_write() {
        for size in [10, SMALL, 60_000] {
            let (mut this, mut to) = (Out::default(), narrow(usize::MAX));
            this.put(&[b'h'; 600]);
            let body = piece(1, size);
            this.push_all(vec![body.slice(..size / 2), body.slice(size / 2..)]);
            out(&mut this, &mut to).await;
            assert_eq!((to.writes, to.got.len()), (1, 600 + size));
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_gone() {
        let (mut this, mut to) = (Out::default(), narrow(0));
        this.put(b"x");
        let error = poll_fn(|context| this.poll_out(context, &mut to)).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
