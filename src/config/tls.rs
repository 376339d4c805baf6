//! What is meant by `tls`: which files, on either side.

use std::net::SocketAddr;
use std::path::PathBuf;

/// An address where clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Its port may be 0: the system then chooses one.
    pub address: SocketAddr,
    /// How it speaks TLS; plain where this is not there.
    pub tls: Option<ServerTls>,
}

/// A certificate and its key, as files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The chain, the key's own certificate first.
    pub cert_file: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
}

impl IdentityFiles {
    /// Both.
    pub fn paths(&self) -> [PathBuf; 2] {
        [self.cert_file.clone(), self.key_file.clone()]
    }
}

/// How clients are met. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// What they are shown.
    pub identity: IdentityFiles,
    /// Who has to have signed what a client shows; it need not show anything
    /// where this is not there.
    pub client_ca_file: Option<PathBuf>,
}

/// How a provider is met. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Who may have signed its certificate, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What it is shown, where it asks.
    pub identity: Option<IdentityFiles>,
}
