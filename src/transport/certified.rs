//! The certificates that clients are shown, by the addresses where they come
//! in: read with a configuration, and again when their files change.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::ServerConfig;

use super::files::{Files, Pem};
use crate::config::{Digest, Listen, ServerTls};
use crate::tls;

/// How clients are met at each address.
#[derive(Debug, Default)]
pub struct Certified(Vec<Door>);

#[derive(Debug)]
struct Door {
    at: SocketAddr,
    tls: Option<Met>,
}

#[derive(Debug)]
struct Met {
    wanted: ServerTls,
    files: Files,
    now: ArcSwap<Agreed>,
}

#[derive(Debug)]
struct Agreed {
    config: Arc<ServerConfig>,
    /// Of what it was made from.
    of: Digest,
}

impl Certified {
    /// Reads all files. What was made from the same ones before stays, and so
    /// do the sessions that clients resume.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should, in one
    /// sentence.
    pub fn new(listen: &[Listen], before: Option<&Self>) -> Result<Self, String> {
        let door = |entry: &Listen| {
            let known = before.and_then(|before| {
                let mut doors = before.0.iter().filter_map(|door| door.tls.as_ref());
                doors.find(|met| Some(&met.wanted) == entry.tls.as_ref())
            });
            let tls = entry.tls.as_ref().map(|wanted| Met::new(wanted, known));
            let tls = tls.transpose();
            let at = entry.address;
            let tls = tls.map_err(|why| format!("listen {at}: {why}"))?;
            Ok(Door { at, tls })
        };
        listen.iter().map(door).collect::<Result<_, _>>().map(Self)
    }

    /// How clients are met at an address, the `nth` of those that are
    /// configured just so; plainly where it says nothing.
    pub fn at(&self, at: SocketAddr, nth: usize) -> Option<Arc<ServerConfig>> {
        let door = self.0.iter().filter(|door| door.at == at).nth(nth)?;
        let met = door.tls.as_ref()?;
        Some(Arc::clone(&met.now.load().config))
    }

    /// Reads the files again that have changed. What is wrong is logged, and
    /// what was right stays.
    pub fn refresh(&self) {
        let all = self
            .0
            .iter()
            .filter_map(|door| Some((door.at, door.tls.as_ref()?)));
        for (at, met) in all.filter(|(_, met)| met.files.have_changed()) {
            match read(&met.wanted, Some(&met.now.load())) {
                Ok(now) => {
                    met.now.store(now);
                    log::info!(
                        event = "certificate", address:% = at, result = "accepted";
                        "certificate of {at} read again"
                    );
                }
                Err(why) => log::error!(
                    event = "certificate", address:% = at, result = "rejected";
                    "certificate of {at}: {why}; the old one stays"
                ),
            }
        }
    }
}

impl Met {
    fn new(wanted: &ServerTls, known: Option<&Self>) -> Result<Self, String> {
        let mut paths = wanted.identity.paths().to_vec();
        paths.extend(wanted.client_ca_file.clone());
        let files = Files::new(paths);
        let known = known.map(|known| known.now.load_full());
        Ok(Self {
            wanted: wanted.clone(),
            files,
            now: ArcSwap::new(read(wanted, known.as_deref())?),
        })
    }
}

/// What the files hold now; the same as before where that is the same.
fn read(wanted: &ServerTls, before: Option<&Agreed>) -> Result<Arc<Agreed>, String> {
    let mut pem = Pem::default();
    let identity = pem.identity(&wanted.identity)?;
    let clients = wanted.client_ca_file.as_ref().map(|path| pem.roots(path));
    let clients = clients.transpose()?;
    let of = pem.digest();
    let config = match before.filter(|before| before.of == of) {
        Some(before) => Arc::clone(&before.config),
        None => tls::server(&identity, clients)?,
    };
    Ok(Arc::new(Agreed { config, of }))
}
