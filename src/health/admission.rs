//! A request's place at a target: taken when it is admitted, reported on when
//! it is known what came of it, and given back whatever happens.

use super::board::{Board, Place, Refused, Wish, refused};
use super::cell::Claimed;
use super::moment::Moment;
use super::remaining::Counted;
use super::rules::Rules;
use super::story::LastError;
use super::target::Held;
use super::tell;
use super::window::Window;
use super::word::{Event, Sent, Word};
use crate::outcome::{Effect, Outcome};
use crate::wire::Quota;

/// A request's place at a target. Dropped without a report it says nothing of
/// the target and gives back what it took: a probe's place first of all.
#[derive(Debug)]
pub struct Admission<'a> {
    board: &'a Board,
    wish: Wish<'a>,
    held: Held<'a>,
    /// As what it was sent, in the eyes of each word.
    sent: [Sent; 4],
    counted: Counted,
    is_last_resort: bool,
}

impl<'a> Admission<'a> {
    /// A place that has taken no more than its part of the quota yet.
    #[inline]
    pub(super) fn new(
        board: &'a Board,
        wish: Wish<'a>,
        held: Held<'a>,
        sent: [Sent; 4],
        counted: Counted,
    ) -> Self {
        Self {
            board,
            wish,
            held,
            sent,
            counted,
            is_last_resort: false,
        }
    }

    /// A place whatever the state.
    pub(super) fn last_resort(board: &'a Board, wish: Wish<'a>, held: Held<'a>) -> Self {
        let sent = [Sent::AsLastResort; 4];
        let mut admission = Self::new(board, wish, held, sent, Counted::default());
        admission.is_last_resort = true;
        admission
    }

    /// Whether it was sent although it was known to fail.
    pub fn is_last_resort(&self) -> bool {
        self.is_last_resort
    }

    /// Whether it is to find out for others.
    pub fn is_probe(&self) -> bool {
        self.sent.contains(&Sent::AsProbe)
    }

    /// Gives a probe's place back and goes on: it has taken longer than a probe
    /// may, though its own request has the time. Its answer still says
    /// something, as any that comes against all odds.
    pub fn probes_no_longer(&mut self, now: Moment) {
        for place in Place::ALL {
            if self.sent[place as usize] == Sent::AsProbe {
                self.note(place, &[Event::NoVerdict], now);
                self.sent[place as usize] = Sent::AsLastResort;
            }
        }
    }

    /// Takes a probe's place, wherever one is due.
    pub(super) fn claimed(mut self) -> Result<Self, Refused> {
        for place in Place::ALL {
            self.claim(place)?;
        }
        Ok(self)
    }

    fn claim(&mut self, place: Place) -> Result<(), Refused> {
        let Some(cell) = self.board.cell(place, self.wish, &self.held) else {
            return Ok(());
        };
        match cell.admit(self.wish.now) {
            Ok(Claimed::Nothing(word)) => {
                self.sent[place as usize] = Sent::Usually(word.generation());
            }
            Ok(Claimed::Probe) => self.sent[place as usize] = Sent::AsProbe,
            Err(admit) => {
                if let Some(refused) = refused(place, admit) {
                    return Err(refused);
                }
            }
        }
        Ok(())
    }

    /// The answer's head has come, with what it reports of the quota: the
    /// request is no longer on its way.
    pub fn headed(&mut self, quota: &Quota, now: Moment) {
        if quota.requests.is_some() || quota.tokens.is_some() {
            self.enter(now);
            if let Some(health) = self.held.health() {
                let cooldown = self.board.rules.cooldown();
                health.remaining.report(quota, now, cooldown);
            }
        }
        self.give_back_count();
    }

    /// The answer has begun: a probe has its verdict.
    pub fn said(&mut self, now: Moment) {
        for place in Place::ALL {
            self.note(place, &[Event::Said], now);
        }
    }

    /// The answer came to its end.
    pub fn finished(mut self, now: Moment) {
        self.enter(now);
        for place in Place::ALL {
            self.note(place, &[Event::Finished], now);
            self.count(place, true, now);
        }
        if let Some(health) = self.held.health() {
            health.answers();
        }
    }

    /// The attempt failed, before commit or after it. `wait` is how long the
    /// provider asked to be left alone.
    pub fn failed(mut self, failure: Failed, now: Moment) {
        let effect = failure.outcome.effect();
        if effect == Effect::None {
            self.proves(failure.outcome, now);
            return;
        }
        self.enter(now);
        let error = LastError {
            outcome: failure.outcome,
            status: failure.status,
            at: now,
        };
        let until = failure
            .wait
            .map(|wait| Rules::back_at(wait, now, self.wish.dice));
        let refused = Event::Refused { until };
        match effect {
            Effect::Credential => {
                self.provider_errs(error);
                self.note(Place::Credential, &[Event::Refused { until: None }], now);
            }
            Effect::Endpoint => {
                self.errs(error, None);
                self.note(Place::Endpoint, &[Event::Refused { until: None }], now);
            }
            Effect::Provider => {
                self.provider_errs(error);
                let too_many = self.trips(Place::Connection, now);
                self.note(Place::Connection, &[Event::Failed { too_many }], now);
            }
            Effect::RateLimit => {
                self.errs(error, failure.wait.map(|wait| now.after(wait)));
                self.note(Place::Target, &[refused], now);
            }
            Effect::Target => {
                self.errs(error, failure.wait.map(|wait| now.after(wait)));
                let too_many = self.trips(Place::Target, now);
                let failed = if failure.outcome == Outcome::Cut {
                    Event::Cut { too_many }
                } else {
                    Event::Failed { too_many }
                };
                let both = [failed, refused];
                let events = if until.is_some() {
                    &both[..]
                } else {
                    &both[..1]
                };
                self.note(Place::Target, events, now);
            }
            Effect::None => {}
        }
        self.proves(failure.outcome, now);
    }

    /// Notes what even a failure shows to be in order.
    fn proves(&mut self, outcome: Outcome, now: Moment) {
        let proof = outcome.proves();
        let in_order = [Event::Said, Event::Finished];
        if proof.connection {
            self.note(Place::Connection, &in_order, now);
            self.count(Place::Connection, true, now);
        }
        if proof.credential {
            self.note(Place::Credential, &in_order, now);
        }
    }

    /// Counts a failure; says whether the ratio is reached with it.
    fn trips(&self, place: Place, now: Moment) -> bool {
        self.count(place, false, now);
        let window = self.window(place);
        let (good, bad) = window.map_or((0, 0), |window| window.counts(now));
        self.board.rules.trips(good, bad)
    }

    /// Counts an ending for the ratio, unless it is of a time that is over or
    /// was expected.
    fn count(&self, place: Place, is_good: bool, now: Moment) {
        let Some(cell) = self.board.cell(place, self.wish, &self.held) else {
            return;
        };
        let state = cell.word().state();
        let is_news = match self.sent[place as usize] {
            Sent::AsLastResort => false,
            Sent::AsProbe => true,
            Sent::Usually(generation) => generation == state.generation,
        };
        if let Some(window) = self.window(place).filter(|_| is_news) {
            window.note(is_good, now);
        }
    }

    /// The window of those that have a ratio.
    fn window(&self, place: Place) -> Option<&Window> {
        match place {
            Place::Connection => Some(&self.board.known(self.wish.target).health.window),
            Place::Target => self.held.health().map(|health| &health.window),
            Place::Credential | Place::Endpoint => None,
        }
    }

    fn errs(&self, error: LastError, said_until: Option<Moment>) {
        if let Some(health) = self.held.health() {
            health.story.errs(error, said_until);
        }
    }

    fn provider_errs(&self, error: LastError) {
        let known = self.board.known(self.wish.target);
        known.health.story.errs(error, None);
    }

    /// Makes sure that there is something to note it in.
    fn enter(&mut self, now: Moment) {
        if self.held.health().is_none() {
            self.held = self.board.entered(self.wish.target, now);
        }
    }

    /// Applies what one word is to know, in one go. A probe has its verdict
    /// with it, and what is noted later is noted as of any other request.
    fn note(&mut self, place: Place, events: &[Event], now: Moment) {
        let sent = self.sent[place as usize];
        let (rules, dice) = (&self.board.rules, self.wish.dice);
        let Some(cell) = self.board.cell(place, self.wish, &self.held) else {
            return;
        };
        let is_good = |event: &Event| matches!(event, Event::Said | Event::Finished);
        let is_usual = matches!(sent, Sent::Usually(_)) && events.iter().all(is_good);
        if is_usual && cell.word().is_spotless() {
            return;
        }
        let (was, is) = cell.change(|word| {
            let mut from = sent;
            events.iter().fold(word, |word, event| {
                let next = word.after(from, *event, now, rules, dice);
                from = settled(from, next);
                next
            })
        });
        self.sent[place as usize] = settled(sent, is);
        self.changed(place, was, is, now);
    }

    fn changed(&self, place: Place, was: Word, is: Word, now: Moment) {
        let (before, after) = (was.state(), is.state());
        let has_begun_anew = before.phase == after.phase && before.level < after.level;
        if before.phase == after.phase && !has_begun_anew {
            return;
        }
        let known = self.board.known(self.wish.target);
        let story = match (place, self.held.health()) {
            (Place::Connection | Place::Credential, _) | (_, None) => &known.health.story,
            (Place::Target | Place::Endpoint, Some(health)) => &health.story,
        };
        if before.phase != after.phase {
            story.changes(now);
        }
        if let Some(window) = self.window(place).filter(|_| is.is_healthy()) {
            window.begin_anew(now);
        }
        tell::changed(place, self.wish, after, story.told().last_error, now);
    }

    #[inline]
    fn give_back_count(&mut self) {
        let counted = std::mem::take(&mut self.counted);
        if counted == Counted::default() {
            return;
        }
        if let Some(health) = self.held.health() {
            health.remaining.give_back(counted);
        }
    }
}

/// A probe that has its verdict is one of the generation it belongs to.
fn settled(from: Sent, word: Word) -> Sent {
    match from {
        Sent::AsProbe => Sent::Usually(word.state().generation),
        Sent::AsLastResort | Sent::Usually(_) => from,
    }
}

impl Drop for Admission<'_> {
    #[inline]
    fn drop(&mut self) {
        for place in Place::ALL {
            if self.sent[place as usize] == Sent::AsProbe {
                self.note(place, &[Event::NoVerdict], self.wish.now);
            }
        }
        self.give_back_count();
        if self.is_last_resort
            && let Some(health) = self.held.health()
        {
            health.ends_last_resort();
        }
    }
}

/// What is reported of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// How the attempt ended.
    pub outcome: Outcome,
    /// The HTTP status that came, where one did.
    pub status: Option<u16>,
    /// How long the provider asked to be left alone.
    pub wait: Option<std::time::Duration>,
}
