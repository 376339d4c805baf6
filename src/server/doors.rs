//! All listeners of a process, and how a reload changes them: one whose
//! address is still configured stays as it is, also where the system chose its
//! port.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::listener::{Bound, Standing, bind, inherited};
use super::upgrade::{Door, Inherited, Socket};
use crate::admin::{Admin, Reload};
use crate::config::Config;
use crate::front::{Drain, Gate, Ids};
use crate::house::Current;

/// What stands behind all of them.
pub(super) struct Behind {
    pub(super) house: Current,
    /// The whole process's.
    pub(super) drain: Arc<Drain>,
    pub(super) ids: Arc<Ids>,
    /// Where the admin port says that a reload is wanted.
    pub(super) reload: mpsc::Sender<Reload>,
}

/// Those that a configuration asks for and that are not there yet.
pub(super) struct Opened {
    clients: Vec<Bound>,
    admin: Option<Bound>,
}

/// Those that are there.
#[derive(Default)]
pub(super) struct Doors {
    clients: Vec<Standing>,
    admin: Option<Standing>,
    /// Sockets of another process, which are taken before any is bound.
    pub(super) inherited: Vec<Inherited>,
}

impl Doors {
    /// Where clients come in.
    pub(super) fn listen(&self) -> Vec<SocketAddr> {
        self.clients.iter().map(|door| door.at).collect()
    }

    /// The admin port.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|door| door.at)
    }

    /// Binds what is not there yet. Nobody is served by it before
    /// [`Doors::change`], and dropped it leaves all as it was.
    ///
    /// # Errors
    /// An address that cannot be bound, in one sentence.
    pub(super) fn open(&mut self, config: &Config) -> Result<Opened, String> {
        let mut clients: Vec<Bound> = Vec::new();
        let listen = || config.listen.iter().map(|entry| entry.address);
        for at in listen() {
            let wanted = listen().filter(|other| *other == at).count();
            let bound = clients.iter().filter(|new| new.configured == at).count();
            let standing = self.clients.iter().filter(|d| d.configured == at).count();
            if standing + bound < wanted {
                clients.push(self.bind(Door::Listen, at)?);
            }
        }
        let stays = |door: &Standing| door.configured == config.admin;
        let admin = match &self.admin {
            Some(door) if stays(door) => None,
            Some(_) | None => Some(self.bind(Door::Admin, config.admin)?),
        };
        Ok(Opened { clients, admin })
    }

    fn bind(&mut self, door: Door, at: SocketAddr) -> Result<Bound, String> {
        let bound = match Inherited::find(&mut self.inherited, door, at) {
            Some(socket) => inherited(at, socket),
            None => bind(at),
        };
        bound.map_err(|error| {
            let mut own = self.clients.iter().chain(&self.admin);
            let in_use = error.kind() == io::ErrorKind::AddrInUse;
            match own.find(|door| in_use && door.at.port() == at.port()) {
                Some(door) => format!(
                    "cannot listen on {at}: {error}; this process itself listens on {} until a \
                     reload succeeds, so go by another port, or restart",
                    door.at
                ),
                None => format!("cannot listen on {at}: {error}"),
            }
        })
    }

    /// Serves those that were opened, and lets those go that are not
    /// configured any more; their addresses are free when this is done.
    pub(super) async fn change(&mut self, opened: Opened, config: &Config, behind: &Behind) {
        let (house, ids) = (&behind.house, &behind.ids);
        for bound in opened.clients {
            let at = bound.at;
            log::info!(event = "listening", address:% = at; "listening on {at}");
            let same = self.clients.iter().map(|door| door.configured);
            let nth = same.filter(|other| *other == bound.configured).count();
            let which = (bound.configured, nth);
            let gate = Gate::new(
                Arc::clone(house),
                behind.drain.door(),
                Arc::clone(ids),
                which,
            );
            self.clients.push(bound.serve(Arc::new(gate)));
        }
        let mut left: Vec<_> = config.listen.iter().map(|entry| entry.address).collect();
        let mut gone = Vec::new();
        for door in std::mem::take(&mut self.clients) {
            match left.iter().position(|at| *at == door.configured) {
                Some(place) => {
                    left.swap_remove(place);
                    self.clients.push(door);
                }
                None => gone.push(door),
            }
        }
        if let Some(bound) = opened.admin {
            let at = bound.at;
            log::info!(event = "admin", address:% = at; "admin on {at}");
            let (drain, reload) = (Arc::clone(&behind.drain), behind.reload.clone());
            let door = Admin::new(at, Arc::clone(house), drain, Arc::clone(ids), reload);
            gone.extend(self.admin.replace(bound.serve(Arc::new(door))));
        }
        for door in gone {
            let at = door.at;
            log::info!(event = "closed", address:% = at; "no more listening on {at}");
            door.retire().await;
        }
    }

    /// All sockets, for another process: clients' first.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn share(&self) -> io::Result<(Vec<Socket>, Vec<OwnedFd>)> {
        let of = |door| {
            move |standing: &Standing| {
                let configured = standing.configured;
                Ok((Socket { door, configured }, standing.share()?))
            }
        };
        let clients = self.clients.iter().map(of(Door::Listen));
        clients
            .chain(self.admin.iter().map(of(Door::Admin)))
            .collect()
    }

    /// Leaves all to another process.
    pub(super) async fn leave_all(&mut self) {
        for door in std::mem::take(&mut self.clients) {
            door.leave().await;
        }
        if let Some(door) = self.admin.take() {
            door.leave().await;
        }
    }

    /// Leaves those to another process that are in these places of what was
    /// shared, and closes the others.
    pub(super) async fn leave(&mut self, kept: &[usize]) {
        let clients = std::mem::take(&mut self.clients);
        for (place, door) in clients.into_iter().chain(self.admin.take()).enumerate() {
            if kept.contains(&place) {
                door.leave().await;
            } else {
                door.retire().await;
            }
        }
    }
}
