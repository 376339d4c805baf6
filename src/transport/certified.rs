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

#[derive(Clone, Debug)]
struct Door {
    at: SocketAddr,
    tls: Option<Arc<Met>>,
    /// It is not configured any more, and about to be closed: until then
    /// nobody comes in there in any other way than before.
    leaves: bool,
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
                let mut doors = before.0.iter().filter_map(|door| door.tls.as_deref());
                doors.find(|met| Some(&met.wanted) == entry.tls.as_ref())
            });
            let tls = entry.tls.as_ref().map(|wanted| Met::new(wanted, known));
            let tls = tls.transpose();
            let at = entry.address;
            let tls = tls.map_err(|why| format!("listen {at}: {why}"))?;
            Ok(Door {
                at,
                tls: tls.map(Arc::new),
                leaves: false,
            })
        };
        let doors = listen.iter().map(door).collect::<Result<_, String>>()?;
        Ok(Self(doors).with_those_that_leave(before))
    }

    fn with_those_that_leave(mut self, before: Option<&Self>) -> Self {
        let before = before.map_or(&[][..], |before| &before.0);
        let before: Vec<_> = before.iter().filter(|door| !door.leaves).collect();
        for (place, door) in before.iter().enumerate() {
            let is_same = |other: &&&Door| other.at == door.at;
            let nth = before.iter().take(place).filter(is_same).count();
            let stay = self
                .0
                .iter()
                .filter(|other| other.at == door.at && !other.leaves);
            if nth >= stay.count() {
                let leaves = true;
                self.0.push(Door {
                    leaves,
                    ..Door::clone(door)
                });
            }
        }
        self
    }

    /// How clients are met at an address, the `nth` of those that are
    /// configured just so; plainly where it says nothing.
    pub fn at(&self, at: SocketAddr, nth: usize) -> Option<Arc<ServerConfig>> {
        let door = self.0.iter().filter(|door| door.at == at).nth(nth)?;
        let met = door.tls.as_ref()?;
        Some(Arc::clone(&met.now.load().config))
    }

    /// Whether a client has to show a certificate there.
    pub fn asks_who_comes(&self, at: SocketAddr, nth: usize) -> bool {
        let mut doors = self.0.iter().filter(|door| door.at == at);
        let tls = doors.nth(nth).and_then(|door| door.tls.as_deref());
        tls.is_some_and(|met| met.wanted.client_ca_file.is_some())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::IdentityFiles;

    #[test]
    fn what_leaves_is_met_as_before_until_it_is_gone() {
        let folder = std::env::temp_dir().join(format!("standin-certified-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let tls = ServerTls {
            identity: IdentityFiles {
                cert_file,
                key_file,
            },
            client_ca_file: None,
        };
        let entry = |port: u16, tls: Option<&ServerTls>| Listen {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: tls.cloned(),
        };
        let (any, one) = (entry(0, None).address, entry(1, None).address);
        let all = [entry(1, Some(&tls)), entry(0, None), entry(0, Some(&tls))];
        let first = Certified::new(&all, None).unwrap();
        let is_tls = |of: &Certified| {
            [(one, 0), (any, 0), (any, 1), (any, 2)].map(|(at, nth)| of.at(at, nth).is_some())
        };
        assert_eq!(is_tls(&first), [true, false, true, false]);
        let second = Certified::new(&[entry(0, None)], Some(&first)).unwrap();
        assert_eq!(is_tls(&second), [true, false, true, false]);
        let third = Certified::new(&[entry(0, None)], Some(&second)).unwrap();
        assert_eq!(is_tls(&third), [false; 4]);
        // And what comes again is what it was.
        let again = Certified::new(&all, Some(&second)).unwrap();
        let same = Arc::ptr_eq(&again.at(one, 0).unwrap(), &first.at(one, 0).unwrap());
        assert!(same, "its sessions are resumed");
        fs::remove_dir_all(&folder).unwrap();
    }
}
