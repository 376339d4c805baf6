//! The providers of a run, the way to them, and a book of all that they saw.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::chance::Chance;
use super::mood::Mood;
use crate::base::Endpoint;
use crate::config::{Config, Target};
use crate::health::{Board, Glance, Moment};
use crate::journey::tests::fakes::{Came, Guest, Seated, next};
use crate::journey::tests::play::Act;
use crate::outcome::Outcome;
use crate::seam::{Broken, Client, Exchange, Gone, Head, Out, Outgoing};
use crate::wire::Lines;

/// What one configuration knows.
pub(super) struct House {
    pub config: Config,
    pub board: Board,
}

/// One attempt, as the world saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub journey: usize,
    pub provider: String,
    pub model: String,
    pub endpoint: Endpoint,
    /// What live state was as it came.
    pub glance: Glance,
    pub moment: Moment,
    pub at: Duration,
    /// After this time it may go on, and is a probe no longer.
    pub longest_probe: Duration,
    /// Places in the order of all events.
    pub began: usize,
    pub said: Option<usize>,
    pub ended: Option<usize>,
    pub ended_at: Duration,
    /// As the trail has it, where there is one.
    pub tried: Option<Told>,
}

/// What a trail says of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub is_last_resort: bool,
    pub outcome: Option<Outcome>,
    pub wait: Option<Instant>,
}

/// What is going on, and what went on.
pub(super) struct Book {
    pub moods: HashMap<String, Mood>,
    pub chance: Chance,
    pub seen: Vec<Seen>,
    /// Targets and providers that have done what may count against them.
    pub harmed: HashMap<String, ()>,
    events: usize,
}

pub(super) struct World {
    started: Instant,
    book: Mutex<Book>,
}

impl World {
    pub(super) fn new(chance: Chance) -> Self {
        Self {
            started: Instant::now(),
            book: Mutex::new(Book {
                moods: HashMap::new(),
                chance,
                seen: Vec::new(),
                harmed: HashMap::new(),
                events: 0,
            }),
        }
    }

    /// Looks into the book, or writes in it.
    pub(super) fn book<R>(&self, look: impl FnOnce(&mut Book) -> R) -> R {
        look(&mut self.book.lock().unwrap())
    }

    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Book {
    fn event(&mut self) -> usize {
        self.events += 1;
        self.events
    }

    pub(super) fn set_mood(&mut self, of: &str, mood: Mood) {
        self.moods.insert(of.to_owned(), mood);
    }

    pub(super) fn harms_all_under_way(&mut self) {
        let under_way = self.seen.iter().filter(|seen| seen.ended.is_none());
        let names = under_way.map(|seen| (format!("{}/{}", seen.provider, seen.model), ()));
        self.harmed.extend(names);
    }

    fn mood(&self, of: &str) -> Mood {
        self.moods.get(of).copied().unwrap_or(Mood::Fine)
    }
}

/// One journey's way into the world.
pub(super) struct Way {
    pub world: Arc<World>,
    pub house: Arc<House>,
    pub journey: usize,
    pub endpoint: Endpoint,
    pub stream: bool,
}

/// One attempt on its way.
pub(super) struct Under {
    world: Arc<World>,
    number: usize,
    panics: bool,
    acts: VecDeque<Act>,
}

impl Way {
    /// Notes the attempt; a second connection for the same one is none.
    fn begin(&self, target: &Target, fresh: bool) -> (usize, Mood) {
        let provider = target.provider.name.to_string();
        let name = format!("{provider}/{}", target.upstream_model);
        let own = if self.stream {
            target.timeouts.first_token
        } else {
            target.timeouts.answer
        };
        let house = &self.house;
        let moment = house.board.moment(Instant::now().into_std());
        self.world.book(|book| {
            let mut mood = book.mood(&provider);
            let mut is_of_all = mood != Mood::Fine;
            if !is_of_all {
                mood = book.mood(&name);
                // These break connections, or may.
                is_of_all = matches!(mood, Mood::Cuts | Mood::Flaps | Mood::Resets);
            }
            if is_of_all {
                book.harmed.insert(provider.clone(), ());
            } else if !mood.is_harmless() {
                book.harmed.insert(name, ());
            }
            let last = book
                .seen
                .iter()
                .rposition(|seen| seen.journey == self.journey);
            if let (true, Some(number)) = (fresh, last) {
                book.seen[number].ended = None;
                return (number, mood);
            }
            let began = book.event();
            book.seen.push(Seen {
                journey: self.journey,
                provider,
                model: target.upstream_model.clone(),
                endpoint: self.endpoint,
                glance: house.board.glance(target),
                moment,
                at: self.world.now(),
                longest_probe: target.timeouts.connect + own,
                began,
                said: None,
                ended: None,
                ended_at: Duration::ZERO,
                tried: None,
            });
            (book.seen.len() - 1, mood)
        })
    }
}

impl Out for Way {
    type Exchange = Under;

    async fn open(&self, target: &Target, fresh: bool) -> Result<Under, Broken> {
        let (number, mood) = self.begin(target, fresh);
        let play = self
            .world
            .book(|book| mood.play(self.endpoint, self.stream, &mut book.chance));
        let panics = mood == Mood::Panics && self.world.book(|book| book.chance.percent(50));
        // From here on its end is noted, however it comes.
        let under = Under {
            world: Arc::clone(&self.world),
            number,
            panics,
            acts: play.acts.into(),
        };
        if mood == Mood::Stale && !fresh {
            return Err(Broken::Stale);
        }
        next(&mut play.open.into()).await?;
        Ok(under)
    }
}

impl Exchange for Under {
    async fn send(&mut self, _: &Outgoing<'_>) -> Result<(), Broken> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        if self.panics {
            // Unwinds like a panic, and prints nothing.
            std::panic::resume_unwind(Box::new("a scripted panic"));
        }
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

    async fn release(self) {}
}

impl Drop for Under {
    fn drop(&mut self) {
        let now = self.world.now();
        self.world.book(|book| {
            let event = book.event();
            let seen = &mut book.seen[self.number];
            seen.ended = Some(event);
            seen.ended_at = now;
        });
    }
}

/// A client; the world is told when it gets an answer.
pub(super) struct Visitor {
    pub guest: Guest,
    pub world: Arc<World>,
    pub journey: usize,
}

impl Visitor {
    fn is_answered(&self) {
        self.world.book(|book| {
            let event = book.event();
            let mut seen = book.seen.iter_mut();
            if let Some(seen) = seen.rfind(|seen| seen.journey == self.journey) {
                seen.said = Some(event);
            }
        });
    }
}

impl Client for Visitor {
    type Committed = Seated;

    async fn gone(&mut self) -> Gone {
        Client::gone(&mut self.guest).await
    }

    async fn commit(self, head: Head<Lines>) -> Result<Seated, Gone> {
        self.is_answered();
        self.guest.commit(head).await
    }

    async fn reply(self, head: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        self.is_answered();
        self.guest.reply(head, body).await
    }
}
