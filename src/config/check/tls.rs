//! Tls, on either side: which files, and whether they hold what they should.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Surroundings;
use super::provider::unreadable;
use crate::config::node::Scalar;
use crate::config::problem::{Found, Place};
use crate::config::shape::Fields;
use crate::config::tls::{ClientTls, IdentityFiles, ServerTls};
use crate::tls::{self, Identity};

/// Bytes of a file with certificates: all of the public ones take some
/// hundred KiB.
const LONGEST: usize = 4 << 20;

/// How clients are met; `None` where something is wrong, which is then told.
pub(super) fn server(
    fields: &Fields<'_>,
    around: &dyn Surroundings,
    found: &mut Found,
) -> Option<ServerTls> {
    let identity = identity(fields, around, found);
    let client_ca_file = authorities(fields, "client_ca_file", around, found);
    Some(ServerTls {
        identity: identity?,
        client_ca_file,
    })
}

/// How a provider is met; `None` where nothing is said of it.
pub(super) fn client(
    provider: &Fields<'_>,
    is_https: Option<bool>,
    around: &dyn Surroundings,
    found: &mut Found,
) -> Option<ClientTls> {
    let node = provider.node("tls")?;
    if is_https == Some(false) {
        found.add(
            node.place,
            "`tls` belongs to a `base_url` that begins with `https://`: leave it out, or write that",
        );
    }
    let fields = provider.section("tls", found);
    let (cert, key) = (fields.node("cert_file"), fields.node("key_file"));
    if let (Some(one), None) | (None, Some(one)) = (cert, key) {
        let why = "`cert_file` and `key_file` go together: write both, or leave both out";
        found.add(one.place, why);
    }
    Some(ClientTls {
        ca_file: authorities(&fields, "ca_file", around, found),
        identity: identity(&fields, around, found),
    })
}

fn authorities(
    fields: &Fields<'_>,
    name: &str,
    around: &dyn Surroundings,
    found: &mut Found,
) -> Option<PathBuf> {
    let (path, place) = fields.text(name, found)?;
    read(name, path, place, around, found, tls::roots);
    Some(Path::new(&*path.text).to_owned())
}

/// A certificate and its key, where both are written.
fn identity(
    fields: &Fields<'_>,
    around: &dyn Surroundings,
    found: &mut Found,
) -> Option<IdentityFiles> {
    let cert = fields.text("cert_file", found);
    let key = fields.text("key_file", found);
    let chain = cert
        .and_then(|(path, place)| read("cert_file", path, place, around, found, tls::certificates));
    let private = key
        .and_then(|(path, place)| read("key_file", path, place, around, found, tls::private_key));
    let ((cert, _), (key, place)) = (cert?, key?);
    if let (Some(chain), Some(private)) = (chain, private)
        && let Err(why) = Identity::new(chain, private)
    {
        found.add(place, format!("{} {why}", key.shown()));
    }
    Some(IdentityFiles {
        cert_file: Path::new(&*cert.text).to_owned(),
        key_file: Path::new(&*key.text).to_owned(),
    })
}

/// What a file holds now. It is read again when it is used.
fn read<T>(
    name: &str,
    path: &Scalar,
    place: Place,
    around: &dyn Surroundings,
    found: &mut Found,
    take: impl FnOnce(&[u8]) -> Result<T, &'static str>,
) -> Option<T> {
    let shown = path.shown();
    let taken = match around.file(Path::new(&*path.text)) {
        Err(error) => Err(unreadable(name, &error, &shown)),
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let taken = if bytes.len() > LONGEST {
                Err("is larger than 4 MiB")
            } else {
                take(&bytes)
            };
            taken.map_err(|why| format!("{shown} {why}"))
        }
    };
    taken.map_err(|why| found.add(place, why)).ok()
}
