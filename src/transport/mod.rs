//! What carries the bytes of a connection, on either side: plain TCP, or TLS
//! over it.

mod certified;
mod files;
mod socket;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub use self::certified::Certified;
pub use self::files::{Files, Pem};
pub use self::socket::Socket;

/// A connection below HTTP. An enum, since all reads and writes go through it;
/// holds no buffers of its own where it is plain.
#[derive(Debug)]
pub enum Transport {
    /// As the system has it.
    Tcp(TcpStream),
    /// After its handshake.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within a test, in virtual time.
    #[cfg(test)]
    Scripted(tokio::io::DuplexStream),
}

impl Transport {
    /// A plain connection, on which nothing waits for more to go with it.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        Ok(Self::Tcp(tcp))
    }

    /// TLS over a connection of ours, as its client.
    ///
    /// # Errors
    /// The handshake fails: the other end is not `name`, nobody known vouches
    /// for it, or it refuses us.
    pub async fn secure(
        self,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let Self::Tcp(tcp) = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self::Tls(Box::new(stream.into())))
    }

    /// TLS over a connection that was accepted, as its server.
    ///
    /// # Errors
    /// The handshake fails, and the other end is told why.
    pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let stream = TlsAcceptor::from(config).accept(tcp).await?;
        Ok(Self::Tls(Box::new(stream.into())))
    }

    /// Whether the other end has shown a certificate that was believed.
    pub fn is_certified(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.get_ref().1.peer_certificates().is_some(),
            Self::Tcp(_) => false,
            #[cfg(test)]
            Self::Scripted(_) => false,
        }
    }

    /// Whether what is written has to be flushed, and an end has to be said.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Tcp(_) => false,
            #[cfg(test)]
            Self::Scripted(_) => false,
        }
    }

    /// The protocol that both ends have agreed on (RFC 7301).
    pub fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Tcp(_) => None,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// Its descriptor.
    pub fn id(&self) -> RawFd {
        match self {
            Self::Tcp(tcp) => tcp.as_raw_fd(),
            Self::Tls(stream) => stream.as_raw_fd(),
            #[cfg(test)]
            Self::Scripted(_) => -1,
        }
    }

    /// Says that no more follows, where that is not the same as to close: an
    /// end of TCP alone could be anybody's.
    pub async fn goodbye(&mut self) {
        if self.is_tls() {
            // Whoever has left needs none.
            let _ = self.shutdown().await;
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
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
            Self::Tls(stream) => Pin::new(stream).poll_write(context, piece),
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
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(test)]
            Self::Scripted(duplex) => duplex.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(test)]
            Self::Scripted(duplex) => Pin::new(duplex).poll_shutdown(context),
        }
    }
}
