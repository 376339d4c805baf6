//! How a provider is met: who vouches for it, what it is shown, and which HTTP
//! it is offered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora_rustls::load_platform_certs_incl_env_into_store;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::{ClientTls, Digest, HttpVersion};
use crate::tls;
use crate::transport::{Files, Pem};

/// One way of meeting providers. Clones share the sessions that they resume.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    /// Connections that were made in one way are of no use to another.
    pub(super) number: u64,
}

impl Trust {
    /// By the system's certificates.
    ///
    /// # Errors
    /// They cannot be read, in one sentence.
    pub(super) fn public() -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        load_platform_certs_incl_env_into_store(&mut roots)
            .map_err(|error| format!("certificates (SSL_CERT_FILE, SSL_CERT_DIR): {error}"))?;
        let roots = Arc::new(roots);
        Self::new(tls::client(Arc::clone(&roots), None)?, roots)
    }

    fn new(config: ClientConfig, roots: Arc<RootCertStore>) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            config: Arc::new(config),
            roots,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The same, offering so much HTTP (RFC 7301).
    pub(super) fn offering(&self, http: HttpVersion) -> Self {
        let offered: &[&[u8]] = match http {
            HttpVersion::Auto => &[b"h2", b"http/1.1"],
            HttpVersion::Http1 => &[b"http/1.1"],
            HttpVersion::Http2 => &[b"h2"],
        };
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// What a provider's own `tls` says, and its files.
#[derive(Debug)]
pub(super) struct Own {
    wanted: ClientTls,
    files: Files,
}

/// What was made of the files, and of what.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) trust: Trust,
    of: Digest,
}

impl Own {
    /// Nothing is read yet; what is written after this is read again.
    pub(super) fn new(wanted: &ClientTls) -> Self {
        let mut paths = Vec::new();
        paths.extend(wanted.ca_file.clone());
        paths.extend(wanted.identity.iter().flat_map(|files| files.paths()));
        Self {
            wanted: wanted.clone(),
            files: Files::new(paths),
        }
    }

    /// Whether one of the files has changed since this was asked last.
    pub(super) fn has_changed(&self) -> bool {
        self.files.have_changed()
    }

    /// Reads the files; `before` where they hold the same.
    ///
    /// # Errors
    /// One that cannot be read, or does not hold what it should, in one
    /// sentence.
    pub(super) fn read(
        &self,
        public: &Trust,
        http: HttpVersion,
        before: Option<&Made>,
    ) -> Result<Made, String> {
        let mut pem = Pem::default();
        let roots = self.wanted.ca_file.as_ref().map(|path| pem.roots(path));
        let roots = roots.transpose()?.map(Arc::new);
        let files = self.wanted.identity.as_ref();
        let identity = files.map(|files| pem.identity(files)).transpose()?;
        let of = pem.digest();
        if let Some(before) = before.filter(|before| before.of == of) {
            return Ok(before.clone());
        }
        let roots = roots.unwrap_or_else(|| Arc::clone(&public.roots));
        let config = tls::client(Arc::clone(&roots), identity.as_ref())?;
        let trust = Trust::new(config, roots)?.offering(http);
        Ok(Made { trust, of })
    }

    /// Whether the other one reads the same files for the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.wanted == other.wanted
    }
}
