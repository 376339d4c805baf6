//! The new process's side.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::message::{Door, Socket, Word};
use super::place::{AGAIN, find};
use super::talk::{Lost, Talk, out_of_turn};
use super::{STEP, WAIT, WORK};

/// A socket of the old process.
#[derive(Debug)]
pub(in super::super) struct Inherited {
    /// Its place among all of them.
    place: usize,
    socket: Socket,
    listener: TcpListener,
}

impl Inherited {
    /// The one for this address, out of all that are left: of the same door,
    /// or whatever door has that port.
    pub(in super::super) fn find(
        all: &mut Vec<Self>,
        door: Door,
        configured: SocketAddr,
    ) -> Option<TcpListener> {
        let is_it = |other: &Self| other.socket.configured == configured;
        let same = all
            .iter()
            .position(|it| is_it(it) && it.socket.door == door);
        let port = || configured.port() != 0;
        let place = same.or_else(|| all.iter().position(|it| is_it(it) && port()))?;
        Some(all.swap_remove(place).listener)
    }
}

/// What the old process has handed over.
pub(in super::super) struct Taken {
    /// Nobody, when the old process is gone.
    talk: Option<Talk>,
    /// To be taken out.
    pub(in super::super) sockets: Vec<Inherited>,
    count: usize,
}

/// Waits for the old process, and takes its sockets.
///
/// # Errors
/// Why it has none, in one sentence.
pub(in super::super) async fn take(path: &Path) -> Result<Taken, String> {
    log::info!(
        event = "upgrade", step = "looking";
        "upgrade: looking {WAIT:?} at {} for the running process", path.display()
    );
    let deadline = Instant::now() + WAIT;
    let mut was_there = false;
    loop {
        let Ok(found) = timeout_at(deadline, find(path)).await else {
            let at = path.display();
            let why = if was_there {
                "the one that was there has turned to another, or ended"
            } else {
                "it is asked for that by SIGQUIT"
            };
            return Err(format!(
                "no running process has handed over its sockets at {at} within {WAIT:?}: {why}"
            ));
        };
        let mut talk = Talk::new(found?);
        match sockets(&mut talk).await {
            Ok(sockets) => {
                let count = sockets.len();
                log::info!(event = "upgrade", step = "taken"; "upgrade: took over {count} sockets");
                let talk = Some(talk);
                return Ok(Taken {
                    talk,
                    sockets,
                    count,
                });
            }
            Err(Lost::Gone) => {
                talk.over();
                was_there = true;
                sleep(AGAIN).await;
            }
            Err(lost) => {
                talk.fail(&lost.to_string());
                return Err(format!("upgrade: {lost}"));
            }
        }
    }
}

async fn sockets(talk: &mut Talk) -> Result<Vec<Inherited>, Lost> {
    let hello = Word::Hello {
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // What it has said before it left is heard all the same.
    let _ = talk.say(&hello).await;
    let heard = talk.hear(STEP).await?;
    let Word::Sockets(sockets) = heard else {
        return Err(out_of_turn(&heard));
    };
    let descriptors = talk.receive(sockets.len()).await?;
    let all = sockets.into_iter().zip(descriptors).enumerate();
    let inherited = |(place, (socket, descriptor))| {
        let listener = TcpListener::from(descriptor);
        // What is no such socket has no such address.
        listener.local_addr()?;
        Ok(Inherited {
            place,
            socket,
            listener,
        })
    };
    let all: io::Result<Vec<_>> = all.map(inherited).collect();
    all.map_err(|error| Lost::Strange(format!("sends what is no socket: {error}")))
}

impl Taken {
    /// Says that all is there but the ledger, and waits until that may be
    /// opened. `left` are the sockets that are not served here.
    ///
    /// # Errors
    /// The old process has given up, in one sentence.
    pub(in super::super) async fn ready(
        &mut self,
        left: Vec<Inherited>,
        ledger: Option<PathBuf>,
    ) -> Result<(), String> {
        let is_kept = |place: &usize| left.iter().all(|other| other.place != *place);
        let kept = (0..self.count).filter(is_kept).collect();
        let Some(mut talk) = self.talk.take() else {
            return Ok(());
        };
        // As above.
        let _ = talk.say(&Word::Ready { kept, ledger }).await;
        let why = match talk.hear(WORK).await {
            Ok(Word::Go) => {
                self.talk = Some(talk);
                return Ok(());
            }
            Err(Lost::Gone) => {
                talk.over();
                alone();
                return Ok(());
            }
            Ok(word) => out_of_turn(&word),
            Err(lost) => lost,
        };
        talk.fail(&why.to_string());
        Err(format!("upgrade: {why}"))
    }

    /// Says that this process serves. From now on it is ended by what it
    /// hears, and by nothing that it does not hear.
    pub(in super::super) async fn serving(&mut self) -> Undecided {
        let mut talk = self.talk.take();
        if let Some(talk) = &mut talk {
            // Who is gone is found to be so when it is listened to.
            let _ = talk.say(&Word::Serving).await;
        }
        Undecided(talk)
    }

    /// Whether the old process is gone.
    pub(in super::super) fn is_alone(&self) -> bool {
        self.talk.is_none()
    }

    /// Gives up.
    pub(in super::super) fn fail(self, why: &str) {
        if let Some(talk) = self.talk {
            talk.fail(why);
        }
    }
}

/// The old process, when it has been told that this one serves. Dropped before
/// it is decided, it tells that one to serve on.
pub(in super::super) struct Undecided(Option<Talk>);

impl Undecided {
    /// Waits until the old process accepts no more, however long that takes:
    /// it may have left without a word of it having come, and then nobody
    /// serves but this one.
    ///
    /// # Errors
    /// The old process says that it serves on.
    pub(in super::super) async fn decided(self) -> Result<(), String> {
        let Some(mut talk) = self.0 else {
            return Ok(());
        };
        let heard = {
            let mut hears = pin!(talk.hear(Duration::MAX));
            match timeout(STEP, &mut hears).await {
                Ok(heard) => heard,
                Err(_) => {
                    log::warn!(
                        event = "upgrade", step = "undecided";
                        "upgrade: the old process says nothing for {STEP:?}, and may serve beside \
                         this one; reloads wait until it leaves, or is killed"
                    );
                    hears.await
                }
            }
        };
        talk.over();
        match heard {
            Ok(Word::Leaving) => {}
            Err(Lost::Failed(why)) => return Err(format!("upgrade: {}", Lost::Failed(why))),
            Err(Lost::Gone) => alone(),
            Ok(word) => beside(&out_of_turn(&word)),
            Err(lost @ (Lost::Late(_) | Lost::Strange(_))) => beside(&lost),
        }
        Ok(())
    }
}

fn alone() {
    log::warn!(
        event = "upgrade", step = "alone";
        "upgrade: the old process is gone, this one goes on alone"
    );
}

fn beside(lost: &Lost) {
    log::warn!(
        event = "upgrade", step = "undecided";
        "upgrade: this process serves, and perhaps the old one too: {lost}"
    );
}
