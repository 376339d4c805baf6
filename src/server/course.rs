//! What a process does until its end is clear: signals, reloads, and handing
//! over, each in its turn.

use std::pin::Pin;
use std::sync::Arc;

use super::notify::Standing;
use super::signals::Wish;
use super::upgrade::{Freed, Offer, Successor, give};
use super::{End, STOPPED, Server};

impl Server {
    /// Until the process is to end.
    pub(super) async fn serve(&mut self) -> End {
        let mut giving: Option<Giving> = None;
        // Two processes know the listeners: they stay until it is decided
        // whose they are.
        let (mut reload_then, mut upgrade_then) = (false, false);
        loop {
            let is_settled = giving.is_none() && self.deciding.is_none();
            tokio::select! {
                // What has been decided counts before what is wished then.
                biased;
                decided = waited(&mut self.deciding) => {
                    self.deciding = None;
                    if let Err(why) = decided {
                        return End::Failed(why);
                    }
                    if std::mem::take(&mut reload_then) {
                        drop(self.reload().await);
                    }
                    if std::mem::take(&mut upgrade_then) {
                        giving = self.give();
                    }
                }
                wish = self.signals.next() => match wish {
                    // Dropped, it tells the other one to serve on.
                    Wish::Stop => return match self.deciding.take() {
                        Some(_undecided) => End::Failed(STOPPED.to_owned()),
                        None => {
                            if giving.take().is_some() && let Some(kept) = self.freed.get() {
                                self.doors.leave(kept).await;
                            }
                            End::Stopped
                        }
                    },
                    Wish::Reload if !is_settled => reload_then = true,
                    // Said in the log; a signal has no other answer.
                    Wish::Reload => drop(self.reload().await),
                    Wish::Upgrade if self.deciding.is_some() => upgrade_then = true,
                    Wish::Upgrade if giving.is_some() => {}
                    Wish::Upgrade => giving = self.give(),
                },
                given = waited(&mut giving) => {
                    giving = None;
                    match given {
                        Ok(successor) => return End::Followed(successor),
                        Err(why) => self.gave_up(&why),
                    }
                    if std::mem::take(&mut reload_then) {
                        drop(self.reload().await);
                    }
                }
                Some(tell) = self.reloads.recv(), if is_settled => {
                    // Whoever asked may have left.
                    let _ = tell.send(self.reload().await);
                }
                () = self.watch.moved(), if is_settled => {
                    log::info!("the configuration's file is another one now");
                    drop(self.reload().await);
                }
            }
        }
    }

    /// Begins to hand over, where the configuration says how.
    fn give(&mut self) -> Option<Giving> {
        let house = self.behind.house.load();
        let Some(path) = house.config.upgrade_socket.clone() else {
            self.gave_up("there is no `shutdown.upgrade_socket`");
            return None;
        };
        match self.doors.share() {
            Ok((sockets, descriptors)) => {
                let ledger = house.ledger.clone();
                self.freed = Freed::default();
                let offer = Offer {
                    sockets,
                    descriptors,
                    ledger,
                    freed: Arc::clone(&self.freed),
                };
                Some(Box::pin(give(path, offer)))
            }
            Err(error) => {
                self.gave_up(&error.to_string());
                None
            }
        }
    }

    fn gave_up(&self, why: &str) {
        log::warn!(
            event = "upgrade", step = "failed", why;
            "upgrade: not done, and this process serves on: {why}"
        );
        // Another one may have said otherwise.
        self.manager
            .tell(&Standing::Main, "serving; the upgrade was not done");
    }
}

/// Something that is under way.
pub(super) type Waited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A hand-over that is.
type Giving = Waited<Result<Successor, String>>;

/// What becomes of it; never anything where there is none.
async fn waited<T>(under_way: &mut Option<Waited<T>>) -> T {
    match under_way {
        Some(under_way) => under_way.await,
        None => std::future::pending().await,
    }
}
