//! The keys of `tls`, on either side.

use super::{Form, Section, key};

/// What it is for, at a `listen` address.
const SERVER_DOC: &str = "This address speaks TLS 1.2 and 1.3, and nothing else. Files are read again when they change: new connections get the new certificate, those that are there stay.";

/// What it is for, at a provider.
pub(super) const CLIENT_DOC: &str = "How an `https` provider is met where the system's certificates and none of our own are not what it takes. Files are read again when they change.";

/// An entry of `listen` that says more than its address.
pub(in crate::config) static LISTENER: Section = Section {
    name: "an entry of `listen`",
    required: &["address"],
    keys: &[
        key(
            "address",
            Form::Address,
            "An IP address and a port: `0.0.0.0:8443`.",
        ),
        key("tls", Form::Section(&SERVER), SERVER_DOC),
    ],
};

static SERVER: Section = Section {
    name: "`tls` of an entry of `listen`",
    required: &["cert_file", "key_file"],
    keys: &[
        key(
            "cert_file",
            Form::Path,
            "Its certificate in PEM, and behind it those that lead to a CA that clients know.",
        ),
        key(
            "key_file",
            Form::Path,
            "The certificate's private key in PEM, not encrypted.",
        ),
        key(
            "client_ca_file",
            Form::Path,
            "CAs in PEM. With it a client has to show a certificate that one of them has signed, and nobody else comes in.",
        ),
    ],
};

pub(super) static CLIENT: Section = Section {
    name: "`tls` of a provider",
    required: &[],
    keys: &[
        key(
            "ca_file",
            Form::Path,
            "CAs in PEM that its certificate may be signed by, instead of the system's.",
        ),
        key(
            "cert_file",
            Form::Path,
            "Our certificate in PEM, where it asks for one; with `key_file`.",
        ),
        key(
            "key_file",
            Form::Path,
            "The certificate's private key in PEM, not encrypted.",
        ),
    ],
};
