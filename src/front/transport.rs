//! What carries a client's bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A client's connection below HTTP. An enum, since all of a request's reads
/// and writes go through it.
#[derive(Debug)]
pub(super) enum Transport {
    /// As it was accepted.
    Tcp(TcpStream),
    /// Within a test, in virtual time.
    #[cfg(test)]
    Scripted(tokio::io::DuplexStream),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, piece),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_write(context, piece),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(context, pieces),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            #[cfg(test)]
            Self::Scripted(duplex) => duplex.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_shutdown(context),
        }
    }
}
