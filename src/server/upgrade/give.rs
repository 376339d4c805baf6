//! The old process's side.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::time::timeout;

use super::message::{Socket, Word};
use super::place::Place;
use super::talk::{Lost, Talk, out_of_turn};
use super::{HELLO, STEP, WAIT, WORK};
use crate::ledger::Ledger;

/// What is handed over.
pub(in super::super) struct Offer {
    pub(in super::super) sockets: Vec<Socket>,
    /// In the same order.
    pub(in super::super) descriptors: Vec<OwnedFd>,
    pub(in super::super) ledger: Option<Arc<Ledger>>,
    /// Gets the places of the sockets that the new process may serve, when it
    /// may: from then on it goes on where this one ends.
    pub(in super::super) freed: Freed,
}

/// See [`Offer::freed`].
pub(in super::super) type Freed = Arc<OnceLock<Vec<usize>>>;

/// Who has it now.
#[derive(Debug)]
pub(in super::super) struct Successor {
    pub(in super::super) process: u32,
    /// The places of the sockets that it serves.
    pub(in super::super) kept: Vec<usize>,
}

/// Waits for a new process, and hands over to it. Dropped, it is as if it had
/// never begun.
///
/// # Errors
/// Why it was not done, in one sentence; everything is as it was.
pub(in super::super) async fn give(path: PathBuf, offer: Offer) -> Result<Successor, String> {
    let place = Place::open(&path).await?;
    log::info!(
        event = "upgrade", step = "waiting";
        "upgrade: waiting {WAIT:?} at {} for a new process", path.display()
    );
    let Ok((mut talk, process, version)) = timeout(WAIT, guest(&place)).await else {
        return Err(format!("no new process came within {WAIT:?}"));
    };
    // Whoever else comes finds nobody.
    drop(place);
    log::info!(
        event = "upgrade", step = "found", process, version = version.as_str();
        "upgrade: process {process} of version {version} is there"
    );
    let handed = hand_over(&mut talk, &offer).await;
    match handed {
        Ok(kept) => {
            talk.over();
            Ok(Successor { process, kept })
        }
        Err(why) => {
            talk.fail(&why);
            Err(why)
        }
    }
}

/// Who says hello: process and version. Whoever does not is not listened to any more.
async fn guest(place: &Place) -> (Talk, u32, String) {
    loop {
        let mut talk = Talk::new(place.next().await);
        let why = match talk.hear(HELLO).await {
            Ok(Word::Hello { process, version }) => return (talk, process, version),
            Ok(word) => out_of_turn(&word),
            // It has only looked whether somebody is here.
            Err(Lost::Gone) => continue,
            Err(lost) => lost,
        };
        log::warn!(event = "upgrade", step = "refused"; "upgrade: turned away: {why}");
        talk.fail(&why.to_string());
    }
}

async fn hand_over(talk: &mut Talk, offer: &Offer) -> Result<Vec<usize>, String> {
    let told = |lost: Lost| lost.to_string();
    let sockets = Word::Sockets(offer.sockets.clone());
    talk.say(&sockets).await.map_err(told)?;
    talk.send(&offer.descriptors).await.map_err(told)?;
    let count = offer.descriptors.len();
    log::info!(event = "upgrade", step = "given"; "upgrade: it is given {count} sockets");
    let heard = talk.hear(WORK).await.map_err(told)?;
    let Word::Ready { kept, ledger } = heard else {
        return Err(out_of_turn(&heard).to_string());
    };
    let lent = lend(offer.ledger.as_ref(), ledger.as_deref()).await?;
    // Ended by a signal from here on, this one leaves all to the other.
    let ledger = lent.stays();
    let _ = offer.freed.set(kept.clone());
    talk.free();
    // Who has left meanwhile may have said why.
    let _ = talk.say(&Word::Go).await;
    let decided = decide(talk).await.map_err(told);
    if let (Err(_), Some(ledger)) = (&decided, ledger) {
        ledger.take_back();
    }
    decided.map(|()| kept)
}

/// Waits until the new one serves, and leaves it to that.
async fn decide(talk: &mut Talk) -> Result<(), Lost> {
    let heard = talk.hear(WORK).await?;
    if heard != Word::Serving {
        return Err(out_of_turn(&heard));
    }
    // It may have said so long ago, where this process was stopped meanwhile.
    if !talk.is_quiet() {
        let then = talk.hear(STEP).await?;
        return Err(out_of_turn(&then));
    }
    // Once this is said there is no way back; not said, it has not left.
    talk.say(&Word::Leaving).await
}

/// A ledger that another process may have; taken back when this is dropped.
struct Lent(Option<Arc<Ledger>>);

impl Lent {
    /// It is the other one's, until it is taken back.
    fn stays(mut self) -> Option<Arc<Ledger>> {
        self.0.take()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(ledger) = &self.0 {
            ledger.take_back();
        }
    }
}

/// Hands over the ledger, where the other one is to write the same; else it
/// stays.
async fn lend(own: Option<&Arc<Ledger>>, its: Option<&Path>) -> Result<Lent, String> {
    let is_its = |ledger: &&Arc<Ledger>| {
        let place = Ledger::place(ledger.path());
        place.is_some() && place.as_deref() == its
    };
    let Some(ledger) = own.filter(is_its) else {
        return Ok(Lent(None));
    };
    let lent = Lent(Some(Arc::clone(ledger)));
    let ledger = Arc::clone(ledger);
    let handed = tokio::task::spawn_blocking(move || ledger.hand_over(STEP)).await;
    handed.map_err(|error| error.to_string())??;
    log::info!(event = "upgrade", step = "ledger"; "upgrade: the ledger is the new process's");
    Ok(lent)
}
