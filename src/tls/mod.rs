//! Certificates and keys: from what files hold (PEM, RFC 7468) to what a TLS
//! handshake takes. TLS 1.2 and 1.3, by ring.
//!
//! What is wrong is said without a word of what was read: it may be a key in
//! the wrong place.

use std::fmt;
use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Protocols that a client may choose from, in our order (RFC 7301).
const SERVED: [&[u8]; 2] = [b"h2", b"http/1.1"];

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// The certificates of a PEM file, in its order.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with its name.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| "is no PEM that can be read")?;
    if all.is_empty() {
        return Err("holds no certificate: it takes PEM, `-----BEGIN CERTIFICATE-----`");
    }
    Ok(all)
}

/// The private key of a PEM file: PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with its name.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(
        |_| "holds no private key: it takes PEM that is not encrypted, `-----BEGIN PRIVATE KEY-----`",
    )
}

/// Those who are believed when they sign a certificate, from a PEM file.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with its name.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|_| "holds a certificate that cannot be read")?;
    }
    Ok(roots)
}

/// What a server's certificate has to be for: a name, or an address without
/// brackets. Never empty.
///
/// # Errors
/// No certificate can be for it.
pub fn server_name(host: &str) -> Result<ServerName<'static>, &'static str> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_| "names a host that no certificate can be for")
}

/// A certificate with its key: what one side of a connection shows. `Debug`
/// shows nothing of it.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// The chain begins with the certificate that the key belongs to.
    ///
    /// # Errors
    /// They do not belong together, or are of a kind that is not known; as the
    /// end of a sentence that begins with the key's name.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, &'static str> {
        let key = PROVIDER.key_provider.load_private_key(key).map_err(
            |_| "holds a private key of a kind that is not known: RSA from 2048 bits, ECDSA P-256 or P-384, Ed25519",
        )?;
        let pair = CertifiedKey::new(chain, key);
        pair.keys_match().map_err(
            |_| "holds a key that does not belong to the certificate: the certificate's file begins with the one that it belongs to",
        )?;
        Ok(Self(Arc::new(pair)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

/// How clients are met. With `clients`, each has to show a certificate that
/// one of them has signed, each time anew; without, sessions are resumed by
/// tickets that only this one can read: what was agreed with another holds
/// nothing here.
///
/// # Errors
/// In one sentence.
pub fn server(
    identity: &Identity,
    clients: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, String> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let asks = clients.is_some();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
            let verifier = verifier.build().map_err(|error| error.to_string())?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let one = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
    let mut config = builder.with_cert_resolver(one);
    if asks {
        // A resumed session looks no more at when the client's certificate
        // ends, and each brings the next ticket.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    }
    config.alpn_protocols = SERVED.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// How a server is met that one of `roots` has to vouch for, and what it is
/// shown where it asks. Sessions are resumed among all clones of this one.
///
/// # Errors
/// In one sentence.
pub fn client(
    roots: Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots);
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let one = SingleCertAndKey::from(Arc::clone(&identity.0));
            builder.with_client_cert_resolver(Arc::new(one))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key)
    }

    /// The same P-256 key as SEC1 has it (RFC 5915), out of PKCS#8.
    fn sec1(key: &rcgen::KeyPair) -> Vec<u8> {
        let pkcs8 = key.serialize_der();
        // An OCTET STRING of a SEQUENCE of the version 1, at the end.
        let at = pkcs8
            .windows(5)
            .position(|bytes| matches!(bytes, [0x30, _, 0x02, 0x01, 0x01]));
        pkcs8[at.unwrap()..].to_vec()
    }

    #[test]
    fn a_key_and_its_certificate_belong_together() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let chain = || certificates(certificate.as_bytes()).unwrap();
        let pkcs8 = private_key(key.serialize_pem().as_bytes()).unwrap();
        let mine = Identity::new(chain(), pkcs8).unwrap();
        assert_eq!(format!("{mine:?}"), "Identity(***)");
        let sec1 = PrivateKeyDer::Sec1(sec1(&key).into());
        Identity::new(chain(), sec1).unwrap();
        let theirs = private_key(other.serialize_pem().as_bytes()).unwrap();
        let why = Identity::new(chain(), theirs).unwrap_err();
        assert!(why.contains("does not belong"), "{why}");
    }

    #[test]
    fn a_server_has_a_name_or_an_address() {
        for host in ["localhost", "my_llm", "a.b-c.example", "127.0.0.1", "::1"] {
            assert_eq!(server_name(host).unwrap().to_str(), host);
        }
        for host in ["", "[::1]", "a b", "*.example", ".", "-"] {
            assert!(server_name(host).is_err(), "{host}");
        }
    }

    #[test]
    fn what_is_no_certificate_and_no_key_is_told_without_a_word_of_it() {
        let (certificate, key) = pair();
        let key = key.serialize_pem();
        for (pem, why) in [
            ("", "holds no certificate"),
            ("hello", "holds no certificate"),
            (&*key, "holds no certificate"),
            (
                "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
                "is no PEM",
            ),
        ] {
            let said = certificates(pem.as_bytes()).unwrap_err();
            assert!(said.starts_with(why), "{pem}: {said}");
            assert_eq!(roots(pem.as_bytes()).unwrap_err(), said);
        }
        let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        for pem in ["", &certificate, &encrypted] {
            let said = private_key(pem.as_bytes()).unwrap_err();
            assert!(said.starts_with("holds no private key"), "{said}");
        }
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(roots(odd.as_bytes()).is_err());
    }
}
