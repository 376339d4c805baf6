//! The two seams, scripted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::play::{Act, Play};
use crate::config::Target;
use crate::seam::{Broken, Client, Committed, Exchange, Gone, Head, Out, Outgoing};
use crate::wire::Lines;

/// What happened to one attempt.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// `provider/upstream_model`
    pub target: String,
    /// A connection that is not from the pool was asked for.
    pub fresh: bool,
    /// When it was let go.
    pub ended: Option<Duration>,
    /// What was sent.
    pub body: Vec<u8>,
    /// Its connection was given back.
    pub released: bool,
}

/// Providers that play their scripts.
pub(super) struct World {
    started: Instant,
    plays: Mutex<HashMap<String, VecDeque<Play>>>,
    tried: Arc<Mutex<Vec<Tried>>>,
}

impl World {
    /// A target's last play repeats.
    pub(super) fn new(plays: &[(&str, &[Play])]) -> Self {
        let plays = plays
            .iter()
            .map(|(target, plays)| ((*target).to_owned(), plays.iter().cloned().collect()));
        Self {
            started: Instant::now(),
            plays: Mutex::new(plays.collect()),
            tried: Arc::default(),
        }
    }

    /// From now on a target plays these; the last one repeats.
    pub(super) fn plays(&self, target: &str, plays: &[Play]) {
        let plays = plays.iter().cloned().collect();
        self.plays.lock().unwrap().insert(target.to_owned(), plays);
    }

    /// The attempts from this one on.
    pub(super) fn tried_since(&self, first: usize) -> Vec<Tried> {
        self.tried.lock().unwrap()[first..].to_vec()
    }

    /// All attempts so far.
    pub(super) fn count(&self) -> usize {
        self.tried.lock().unwrap().len()
    }

    /// The attempts so far of this target.
    pub(super) fn asked(&self, target: &str) -> usize {
        let tried = self.tried.lock().unwrap();
        tried.iter().filter(|one| one.target == target).count()
    }
}

/// One attempt on its way.
#[derive(Debug)]
pub(super) struct Played {
    started: Instant,
    number: usize,
    tried: Arc<Mutex<Vec<Tried>>>,
    send: VecDeque<Act>,
    acts: VecDeque<Act>,
}

/// What comes next.
pub(super) enum Came {
    Bytes(Bytes),
    Head(Head),
    Nothing,
}

/// Plays on to what the caller waits for.
pub(super) async fn next(acts: &mut VecDeque<Act>) -> Result<Came, Broken> {
    loop {
        match acts.front() {
            None => return Ok(Came::Nothing),
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Wait(time)) => {
                sleep(*time).await;
                acts.pop_front();
            }
            Some(Act::Break(broken)) => return Err(*broken),
            Some(Act::Also(bytes)) => {
                let bytes = bytes.clone();
                acts.pop_front();
                return Ok(Came::Bytes(bytes));
            }
            Some(Act::Bytes(_) | Act::Head(_)) => {
                // A read from a socket does not come without a wait.
                tokio::task::yield_now().await;
                return Ok(match acts.pop_front() {
                    Some(Act::Bytes(bytes)) => Came::Bytes(bytes),
                    Some(Act::Head(head)) => Came::Head(head),
                    Some(Act::Also(_) | Act::Break(_) | Act::Hang | Act::Wait(_)) | None => {
                        Came::Nothing
                    }
                });
            }
        }
    }
}

impl Out for World {
    type Exchange = Played;

    async fn open(&self, target: &Target, fresh: bool) -> Result<Played, Broken> {
        let name = format!("{}/{}", target.provider.name, target.upstream_model);
        let number = {
            let mut tried = self.tried.lock().unwrap();
            tried.push(Tried {
                target: name.clone(),
                fresh,
                ended: None,
                body: Vec::new(),
                released: false,
            });
            tried.len() - 1
        };
        let play = {
            let mut plays = self.plays.lock().unwrap();
            let plays = plays
                .get_mut(&name)
                .unwrap_or_else(|| panic!("{name} is not scripted"));
            if plays.len() > 1 {
                plays.pop_front()
            } else {
                plays.front().cloned()
            }
        };
        let play = play.expect("a target has a play");
        let played = Played {
            started: self.started,
            number,
            tried: Arc::clone(&self.tried),
            send: play.send.into(),
            acts: play.acts.into(),
        };
        next(&mut play.open.into()).await?;
        Ok(played)
    }
}

impl Exchange for Played {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        self.tried.lock().unwrap()[self.number].body = request.body.parts().concat();
        next(&mut self.send).await.map(|_| ())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        match next(&mut self.acts).await? {
            Came::Head(head) => Ok(head),
            Came::Bytes(_) | Came::Nothing => Err(Broken::Reset),
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        match next(&mut self.acts).await? {
            Came::Bytes(bytes) => Ok(Some(bytes)),
            Came::Head(_) | Came::Nothing => Ok(None),
        }
    }

    async fn release(self) {
        self.tried.lock().unwrap()[self.number].released = true;
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let ended = self.started.elapsed();
        self.tried.lock().unwrap()[self.number].ended = Some(ended);
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ended {
    /// Broken off, visibly.
    BrokenOff,
    /// As its framing says.
    Cleanly,
    #[default]
    Not,
}

/// What a client has been given.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub head: Option<Head>,
    /// The answer came in pieces, the first at this time.
    pub committed: Option<Duration>,
    /// Each write and its time.
    pub writes: Vec<(Duration, Bytes)>,
    pub ended: Ended,
}

/// A client that notes what it is given.
pub(super) struct Guest {
    started: Instant,
    /// When it leaves.
    leaves: Option<Instant>,
    /// When it is cut off.
    cut_off: Option<Instant>,
    /// How long each write takes it.
    pace: Duration,
    given: Arc<Mutex<Given>>,
}

impl Guest {
    pub(super) fn new(leaves: Option<Duration>, pace: Duration) -> (Self, Arc<Mutex<Given>>) {
        let given = Arc::default();
        let started = Instant::now();
        let guest = Self {
            started,
            leaves: leaves.map(|after| started + after),
            cut_off: None,
            pace,
            given: Arc::clone(&given),
        };
        (guest, given)
    }

    /// The process ends so long after now.
    pub(super) fn cut_off(mut self, after: Option<Duration>) -> Self {
        self.cut_off = after.map(|after| self.started + after);
        self
    }

    fn is_cut_off(&self) -> bool {
        self.cut_off.is_some_and(|at| at <= Instant::now())
    }

    fn here(&self) -> Result<(), Gone> {
        match self.leaves {
            Some(at) if at <= Instant::now() => Err(Gone::Left),
            _ => Ok(()),
        }
    }

    async fn gone(&self) -> Gone {
        let at = async |at: Option<Instant>| match at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        };
        tokio::select! {
            biased;
            () = at(self.leaves) => Gone::Left,
            () = at(self.cut_off) => Gone::CutOff,
        }
    }

    fn note(&self, note: impl FnOnce(&mut Given, Duration)) {
        note(&mut self.given.lock().unwrap(), self.started.elapsed());
    }
}

impl Client for Guest {
    type Committed = Seated;

    async fn gone(&mut self) -> Gone {
        Guest::gone(self).await
    }

    fn is_cut_off(&self) -> bool {
        Guest::is_cut_off(self)
    }

    async fn commit(self, head: Head<Lines>) -> Result<Seated, Gone> {
        self.here()?;
        self.note(|given, now| {
            given.head = Some(head.into());
            given.committed = Some(now);
        });
        Ok(Seated(self))
    }

    async fn reply(self, head: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        self.here()?;
        self.note(|given, now| {
            given.head = Some(head.into());
            given
                .writes
                .extend(body.into_iter().map(|piece| (now, piece)));
            given.ended = Ended::Cleanly;
        });
        Ok(())
    }
}

/// The client after commit.
pub(super) struct Seated(Guest);

impl Committed for Seated {
    async fn gone(&mut self) -> Gone {
        self.0.gone().await
    }

    fn is_cut_off(&self) -> bool {
        self.0.is_cut_off()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        if !self.0.pace.is_zero() {
            sleep(self.0.pace).await;
            // Nobody waits for a client that is slow by then.
            if self.0.is_cut_off() {
                return Err(Gone::CutOff);
            }
        }
        self.0.here()?;
        self.0.note(|given, now| given.writes.push((now, bytes)));
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        self.0.here()?;
        self.0.note(|given, _| given.ended = Ended::Cleanly);
        Ok(())
    }

    async fn break_off(self) {
        self.0.note(|given, _| given.ended = Ended::BrokenOff);
    }
}
