//! A connection as bytes, as pingora's HTTP/2 wants it: what is
//! written goes out in as few packets as it can, and one that lies idle keeps
//! no buffers.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What is read at once while a connection waits for its next request: most
/// requests are no larger.
const READ: usize = 8 << 10;

/// Pieces below this are gathered until they are flushed; larger ones go out
/// at once, behind what has been gathered.
const SMALL: usize = 4 << 10;

/// No more is gathered than this.
const GATHERED: usize = 16 << 10;

/// What a connection may keep for its next write.
const KEPT: usize = SMALL;

/// A connection, as pingora takes it.
#[derive(Debug)]
pub struct Socket<T> {
    inner: T,
    id: UniqueIDType,
    /// Read and not yet taken, from `taken` on.
    come: Vec<u8>,
    taken: usize,
    /// Written and not yet out.
    out: Vec<u8>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// `come` has been read from it before.
    pub fn new(inner: T, id: UniqueIDType, come: &[u8]) -> Self {
        Self {
            inner,
            id,
            come: come.to_vec(),
            taken: 0,
            out: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.taken == self.come.len()
    }

    /// Waits until so many bytes are there to be read; false where fewer will
    /// be.
    fn poll_come(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<bool>> {
        while self.come.len() - self.taken < wanted {
            let mut buffer = [MaybeUninit::uninit(); READ];
            let mut into = ReadBuf::uninit(&mut buffer);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut into))?;
            if into.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.come.extend_from_slice(into.filled());
        }
        Poll::Ready(Ok(true))
    }

    /// Writes out what has been gathered.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gone = 0;
        let done = loop {
            match self.out.get(gone..) {
                None | Some([]) => break Poll::Ready(Ok(())),
                Some(left) => match Pin::new(&mut self.inner).poll_write(context, left) {
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(wrote)) => gone += wrote,
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                },
            }
        };
        self.out.drain(..gone);
        if self.out.is_empty() && self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        done
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, into);
        }
        let come = self.come.get(self.taken..).unwrap_or_default();
        let size = come.len().min(into.remaining());
        into.put_slice(come.get(..size).unwrap_or_default());
        self.taken += size;
        if self.is_empty() {
            (self.come, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        if piece.len() < SMALL {
            if self.out.len() + piece.len() > GATHERED {
                ready!(self.poll_out(context))?;
            }
            self.out.extend_from_slice(piece);
            return Poll::Ready(Ok(piece.len()));
        }
        while !self.out.is_empty() {
            let this = &mut *self;
            let both = [IoSlice::new(&this.out), IoSlice::new(piece)];
            let wrote = Pin::new(&mut this.inner).poll_write_vectored(context, &both);
            let wrote = match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => wrote,
            };
            let gathered = wrote.min(this.out.len());
            this.out.drain(..gathered);
            if wrote > gathered {
                return Poll::Ready(Ok(wrote - gathered));
            }
        }
        Pin::new(&mut self.inner).poll_write(context, piece)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[async_trait]
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Peek for Socket<T> {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let wanted = buffer.len();
        if !std::future::poll_fn(|context| self.poll_come(context, wanted)).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let come = self.come.get(self.taken..).unwrap_or_default();
        for (to, byte) in buffer.iter_mut().zip(come) {
            *to = *byte;
        }
        Ok(true)
    }
}

#[async_trait]
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Shutdown for Socket<T> {
    async fn shutdown(&mut self) {
        // The other side has closed it already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl<T> UniqueID for Socket<T> {
    fn id(&self) -> UniqueIDType {
        self.id
    }
}

impl<T> Ssl for Socket<T> {}

impl<T> GetTimingDigest for Socket<T> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<T> GetProxyDigest for Socket<T> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<T> GetSocketDigest for Socket<T> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Takes at most so many bytes at a time, and notes what it was given.
    #[derive(Debug, Default)]
    struct Narrow {
        takes: usize,
        got: Vec<u8>,
        writes: usize,
        busy: bool,
        says: Vec<u8>,
    }

    impl AsyncRead for Narrow {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let size = self.says.len().min(into.remaining()).min(self.takes);
            into.put_slice(&self.says[..size]);
            self.says.drain(..size);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            piece: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.busy = !self.busy;
            if self.busy && self.takes < 100 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let size = piece.len().min(self.takes);
            self.got.extend_from_slice(&piece[..size]);
            self.writes += 1;
            Poll::Ready(Ok(size))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            self.poll_write(context, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn socket(takes: usize) -> Socket<Narrow> {
        let inner = Narrow {
            takes,
            ..Narrow::default()
        };
        Socket::new(inner, 7, b"")
    }

    #[tokio::test]
    async fn bytes_go_out_in_order_whatever_their_sizes() {
        for takes in [1, 7, 99, 5000, usize::MAX] {
            let mut socket = socket(takes);
            let mut wanted = Vec::new();
            let sizes = [0, 1, SMALL - 1, SMALL, 3, GATHERED, 5, SMALL - 1, SMALL - 1];
            for (nth, size) in sizes.iter().cycle().take(40).enumerate() {
                let piece: Vec<u8> = (0..*size).map(|at| (at * 31 + nth) as u8).collect();
                socket.write_all(&piece).await.unwrap();
                wanted.extend_from_slice(&piece);
                assert!(socket.out.len() <= GATHERED);
                if nth % 5 == 0 {
                    socket.flush().await.unwrap();
                    assert!(socket.inner.got == wanted, "{takes}: after {nth}");
                    assert!(socket.out.capacity() <= KEPT);
                }
            }
            AsyncWriteExt::shutdown(&mut socket).await.unwrap();
            assert!(socket.inner.got == wanted, "{takes}");
        }
    }

    #[tokio::test]
    async fn a_head_and_its_body_leave_together() {
        for body in [10, 2000, SMALL, 60_000] {
            let mut socket = socket(usize::MAX);
            socket.write_all(&[b'h'; 600]).await.unwrap();
            socket.write_all(&vec![b'b'; body]).await.unwrap();
            socket.flush().await.unwrap();
            assert_eq!(
                (socket.inner.writes, socket.inner.got.len()),
                (1, 600 + body)
            );
        }
    }

    #[tokio::test]
    async fn a_chunk_leaves_as_one() {
        let mut socket = socket(usize::MAX);
        for piece in [&b"5\r\n"[..], b"hello", b"\r\n"] {
            socket.write_all(piece).await.unwrap();
        }
        socket.flush().await.unwrap();
        assert_eq!(socket.inner.writes, 1);
        assert_eq!(socket.inner.got, b"5\r\nhello\r\n");
    }

    #[tokio::test]
    async fn what_was_looked_at_is_read_again_and_nothing_is_kept_of_it() {
        let mut socket = socket(5);
        socket.inner.says = b"hello, world".to_vec();
        let (mut first, mut more) = ([0], [0; 7]);
        assert!(socket.try_peek(&mut first).await.unwrap());
        assert!(socket.try_peek(&mut more).await.unwrap());
        assert!(socket.try_peek(&mut first).await.unwrap());
        assert_eq!((&first, &more), (b"h", b"hello, "));
        let mut all = String::new();
        socket.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello, world");
        assert_eq!(socket.come.capacity(), 0);
        let error = socket.try_peek(&mut first).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let inner = Narrow {
            takes: 3,
            says: b"world".to_vec(),
            ..Narrow::default()
        };
        let mut socket = Socket::new(inner, 7, b"hello, ");
        let mut all = String::new();
        socket.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello, world");
    }
}
