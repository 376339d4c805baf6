//! The load: many clients, and what became of each request.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use standin::mock::roll;
use tokio::time::{Instant, sleep, timeout};

use super::cut::{CUT, Cut, Places};
use crate::ask::{Ask, STEADY};
use crate::line::{Answer, Line};
use crate::tally::Tally;
use crate::verdict;
use crate::walk::Walk;

/// How long an answer may take: every harmed candidate's timeouts and a slow
/// machine. Who waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// A client's pause after an answer, at most.
const PAUSE: Duration = Duration::from_millis(60);
/// After so many violations the run has shown what it can.
const ENOUGH: u64 = 50;

/// Cuts.
pub(super) const TORN: &str = "torn/m";
/// Goes by a name whose addresses change, one of which is always good.
pub(super) const NAMED: &str = "named/m";
/// Goes by a name that changes with each configuration.
pub(super) const MOVED: &str = "moved/m";
/// All that are harmed, in a way or another.
pub(super) const HARMED: [&str; 5] = [TORN, "slow/m", "mortal/m", NAMED, MOVED];

/// What a client has seen of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Asked, and nothing of an answer.
    Nothing,
    /// The beginning of an answer that has none of its ends.
    Beginning,
    /// An end: of a whole answer, or the event that says that it broke off.
    End,
}

/// Connections that were opened between two hand-overs; once the later one is
/// done, the configuration that served then.
pub(super) type Epoch = Cell<Option<u64>>;

/// What came.
struct Came {
    walk: Walk,
    seen: Seen,
    is_whole: bool,
    version: String,
}

/// What the clients and those who harm share; all on one thread.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) seed: u64,
    pub(super) began: Instant,
    pub(super) listen: Cell<SocketAddr>,
    pub(super) stop: Cell<bool>,
    /// Whether standin is dead on purpose, and how often it has been.
    pub(super) is_down: Cell<bool>,
    pub(super) deaths: Cell<u64>,
    /// The newest configuration that serves for sure, and the newest that may.
    pub(super) serving: Cell<u64>,
    pub(super) tried: Cell<u64>,
    /// What every request has come to, by its number.
    pub(super) seen: RefCell<Vec<Seen>>,
    pub(super) tally: RefCell<Tally>,
    pub(super) places: RefCell<Places>,
    /// Answers that visibly broke off after commit: with an error event, and
    /// with the connection.
    pub(super) told: Cell<u64>,
    pub(super) broken: Cell<u64>,
    /// Attempts that a provider may charge for and nobody had an answer of:
    /// each has a row of its own.
    pub(super) discards: Cell<u64>,
    /// Requests that standin's death took with it.
    pub(super) killed: Cell<u64>,
    pub(super) longest: Cell<Duration>,
    /// Clients hold it as long as they have a connection of it.
    epoch: RefCell<Rc<Epoch>>,
    /// Requests that have ended, in whatever way.
    pub(super) ended: Cell<u64>,
    /// When a new process was killed before it served alone, a moment ago, and
    /// the requests that went with such.
    pub(super) heir_killed: Cell<Option<Duration>>,
    pub(super) gone: Cell<u64>,
    /// What was done, and when.
    pub(super) timeline: RefCell<Vec<(Duration, String)>>,
}

impl Load {
    pub(super) fn new(seed: u64, listen: SocketAddr) -> Self {
        Self {
            seed,
            began: Instant::now(),
            listen: Cell::new(listen),
            stop: Cell::new(false),
            is_down: Cell::new(false),
            deaths: Cell::new(0),
            serving: Cell::new(0),
            tried: Cell::new(0),
            seen: RefCell::default(),
            tally: RefCell::default(),
            places: RefCell::default(),
            told: Cell::new(0),
            broken: Cell::new(0),
            discards: Cell::new(0),
            killed: Cell::new(0),
            longest: Cell::new(Duration::ZERO),
            epoch: RefCell::default(),
            ended: Cell::new(0),
            heir_killed: Cell::new(None),
            gone: Cell::new(0),
            timeline: RefCell::default(),
        }
    }

    /// Notes what is done.
    pub(super) fn note(&self, what: impl Into<String>) {
        let now = self.began.elapsed();
        self.timeline.borrow_mut().push((now, what.into()));
    }

    /// Notes what must not be, with what was done shortly before and since.
    pub(super) fn violated(&self, began: Duration, what: &str) {
        const BEFORE: Duration = Duration::from_secs(2);
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let mut told = format!(
            "from {} to {}: {what}",
            seconds(began),
            seconds(self.began.elapsed())
        );
        let timeline = self.timeline.borrow();
        let from = timeline.partition_point(|(at, _)| *at + BEFORE < began);
        for (at, what) in timeline.get(from..).unwrap_or_default() {
            told += &format!("\n    {}: {what}", seconds(*at));
        }
        crate::say(&told);
        self.tally.borrow_mut().violated(told);
    }

    /// From now on connections are another process's; those of before.
    pub(super) fn next_epoch(&self) -> Rc<Epoch> {
        let before = self.epoch.take();
        before.set(Some(self.serving.get()));
        before
    }

    /// Whether this may have gone with a new process that was killed: it was
    /// on its way then, and has no answer, or half of one.
    fn went(&self, began: Duration, asked: &Asked) -> bool {
        let is_broken = match asked {
            Ok((_, why)) => why.is_some(),
            Err(why) => !why.starts_with("connecting"),
        };
        is_broken && self.heir_killed.get().is_some_and(|at| began <= at)
    }

    /// The next request, and where it is cut.
    fn make(&self) -> (Ask, Option<Cut>) {
        let mut seen = self.seen.borrow_mut();
        let number = seen.len() as u64;
        seen.push(Seen::Nothing);
        let dice = roll(self.seed ^ 0xfa17, number);
        let ask = Ask::drawn(self.seed, number, list(dice));
        // Three of four: a breaker that is always open meets no cut.
        let is_cut = ask.candidates.iter().any(|name| name == TORN) && number & 3 != 0;
        let cut = is_cut.then(|| self.places.borrow_mut().next(ask.kind));
        let id = ask.id.clone();
        let ask = ask.header("x-request-id", id);
        match cut {
            Some(cut) => (ask.header(CUT, cut), Some(cut)),
            None => (ask, None),
        }
    }

    /// What came of it, or what is wrong with that.
    fn judge(&self, ask: &Ask, cut: Option<Cut>, asked: Asked) -> Result<Came, String> {
        let (answer, why) = asked?;
        let tell = |wrong: String| {
            let body = String::from_utf8_lossy(&answer.body);
            let body: String = body.chars().take(3000).collect();
            format!("{wrong} ({why:?})\n  {:?}\n  {body}", answer.headers)
        };
        let whole = match &why {
            None => verdict::verdict(ask, &answer),
            Some(why) => Err(why.clone()),
        };
        let version = answer.header("x-standin-upstream-model");
        let version = version.map(str::to_owned).unwrap_or_default();
        let (walk, seen) = match whole {
            Ok(walk) => (walk, Seen::End),
            Err(wrong) => {
                let walk = verdict::cut(ask, &answer, why.is_some());
                let walk = walk.map_err(|more| tell(format!("{wrong}; {more}")))?;
                let who = walk.entries().last().map_or("", |entry| &entry.name);
                let may_cut = match who {
                    TORN => cut.is_some_and(|cut| cut.is_vast || ask.kind.is_stream()),
                    "slow/m" | "mortal/m" => ask.kind.is_stream(),
                    _ => false,
                };
                if !may_cut {
                    return Err(tell(format!("{wrong}, by {who}")));
                }
                match why {
                    Some(_) => (walk, Seen::Beginning),
                    None => (walk, Seen::End),
                }
            }
        };
        for name in [NAMED, MOVED, STEADY] {
            if walk.failed_at(name) > 0 || walk.skip_of(name).is_some() {
                return Err(tell(format!("{name} was always there")));
            }
        }
        let is_whole = why.is_none() && verdict::verdict(ask, &answer).is_ok();
        Ok(Came {
            walk,
            seen,
            is_whole,
            version,
        })
    }

    fn take(&self, ask: &Ask, cut: Option<Cut>, came: &Came) {
        let number = usize::try_from(ask.number).unwrap_or(usize::MAX);
        if let Some(seen) = self.seen.borrow_mut().get_mut(number) {
            *seen = came.seen;
        }
        let is_met = |name: &str| {
            let mut entries = came.walk.entries();
            entries.any(|entry| entry.name == name && entry.skip().is_none())
        };
        if let Some(cut) = cut.filter(|_| is_met(TORN)) {
            self.places.borrow_mut().meet(ask, cut);
        }
        let charged = |word: &&str| ["bad_answer", "reset", "timeout"].contains(word);
        let discards = came.walk.attempts().filter(charged).count() as u64;
        self.discards.set(self.discards.get() + discards);
        match (came.is_whole, came.seen) {
            (true, _) => self.tally.borrow_mut().answered(&came.walk),
            (false, Seen::End) => self.told.set(self.told.get() + 1),
            (false, Seen::Beginning | Seen::Nothing) => self.broken.set(self.broken.get() + 1),
        }
    }

    /// Whether this name upstream is one of those that were configured
    /// meanwhile.
    fn is_served(&self, version: &str, first: u64) -> bool {
        let last = self.tried.get();
        (first..=last).any(|number| version == name_of(number))
    }
}

/// So many names the models have upstream, in turn: what is known of one is
/// kept for a while.
const VERSIONS: u64 = 16;

/// The models' name upstream in this configuration.
pub(super) fn name_of(number: u64) -> String {
    format!("v{}", number % VERSIONS)
}

/// Some of those that are harmed, and the one that is not: mostly behind them.
fn list(dice: u64) -> Vec<String> {
    let mut harmed = HARMED.to_vec();
    let turn = usize::try_from(dice >> 8 & 7).unwrap_or(0);
    harmed.rotate_left(turn % HARMED.len());
    if dice >> 16 & 1 == 0 {
        harmed.retain(|name| *name != TORN);
        harmed.insert(0, TORN);
    }
    harmed.truncate(usize::try_from(dice >> 20 & 3).unwrap_or(0) + 1);
    let place = match dice >> 24 & 7 {
        0 => 0,
        _ => harmed.len(),
    };
    harmed.insert(place, STEADY);
    harmed.into_iter().map(str::to_owned).collect()
}

type Asked = Result<(Answer, Option<String>), String>;

/// One client: one request after the other.
pub(super) async fn client(load: Rc<Load>) {
    let mut line = None;
    let mut deaths = load.deaths.get();
    let mut epoch = Rc::clone(&load.epoch.borrow());
    while !load.stop.get() {
        if load.is_down.get() {
            sleep(Duration::from_millis(5)).await;
            continue;
        }
        if deaths != load.deaths.get() {
            line = None;
            deaths = load.deaths.get();
        }
        if load.tally.borrow().wrong >= ENOUGH {
            return;
        }
        if line.is_none() {
            epoch = Rc::clone(&load.epoch.borrow());
        }
        let was_left = epoch.get();
        if was_left.is_some() && line.as_ref().is_some_and(Line::has_ended) {
            // Its last answer had begun before the process left.
            line = None;
            epoch = Rc::clone(&load.epoch.borrow());
        }
        let was_left = epoch.get();
        let (ask, cut) = load.make();
        let began = load.began.elapsed();
        let first = was_left.unwrap_or_else(|| load.serving.get());
        let asked = timeout(PATIENCE, exchange(&mut line, load.listen.get(), &ask.bytes)).await;
        let is_hung = asked.is_err();
        let asked = asked.unwrap_or_else(|_| Err(format!("hangs: nothing within {PATIENCE:?}")));
        let took = load.began.elapsed().saturating_sub(began);
        load.longest.set(load.longest.get().max(took));
        load.ended.set(load.ended.get() + 1);
        let went = !is_hung && load.went(began, &asked);
        let judged = load.judge(&ask, cut, asked).and_then(|came| {
            match load.is_served(&came.version, first) {
                true => Ok(came),
                false => Err(format!(
                    "under {:?}, not one of {} to {}",
                    came.version,
                    name_of(first),
                    name_of(load.tried.get())
                )),
            }
        });
        match judged {
            Ok(came) => load.take(&ask, cut, &came),
            Err(_) if deaths != load.deaths.get() && !is_hung => {
                load.killed.set(load.killed.get() + 1);
            }
            Err(_) if went => {
                line = None;
                load.gone.set(load.gone.get() + 1);
            }
            Err(why) => {
                line = None;
                let what = format!(
                    "request {} of seed {} ({:?}, {:?}, cut {cut:?}): {why}",
                    ask.number, load.seed, ask.kind, ask.candidates
                );
                load.violated(began, &what);
            }
        }
        if was_left.is_some() {
            // The old process serves it once more, and no longer.
            line = None;
        }
        let pause =
            roll(load.seed ^ 0x9a5e, ask.number) % u64::try_from(PAUSE.as_micros()).unwrap_or(1);
        sleep(Duration::from_micros(pause)).await;
    }
}

async fn exchange(line: &mut Option<Line>, at: SocketAddr, request: &[u8]) -> Asked {
    let mut own = match line.take() {
        Some(line) => line,
        None => Line::to(at).await?,
    };
    let (answer, why) = own.receive(request).await?;
    if why.is_none() && !answer.closes() {
        *line = Some(own);
    }
    Ok((answer, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_the_healthy_candidate_once_and_mostly_last() {
        let lists: Vec<_> = (0..1000).map(|n| list(roll(1, n))).collect();
        let is_steady = |name: &&String| *name == STEADY;
        assert!(
            lists
                .iter()
                .all(|list| list.iter().filter(is_steady).count() == 1)
        );
        let last = lists
            .iter()
            .filter(|list| list.last().is_some_and(|name| name == STEADY));
        assert!(last.count() > 700);
        for name in HARMED {
            let first = lists.iter().filter(|list| list[0] == name).count();
            assert!(first > 30, "{name} is first {first} times");
        }
    }

    #[test]
    fn a_configuration_is_served_from_when_it_is_sure_until_it_may_be_replaced() {
        let load = Load::new(1, SocketAddr::from(([127, 0, 0, 1], 1)));
        load.tried.set(5);
        assert!(load.is_served("v5", 4) && load.is_served("v4", 4));
        assert!(!load.is_served("v3", 4) && !load.is_served("v6", 4));
    }

    /// An answer to this request by this candidate: half of it.
    fn half(ask: &Ask, who: &str) -> Answer {
        let headers = [
            ("x-standin-model", who),
            ("x-standin-upstream-model", "v0"),
            ("x-standin-attempts", &format!("{who}=200")),
            ("x-test-id", &ask.id),
        ];
        Answer {
            status: 200,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body: bytes::Bytes::new(),
        }
    }

    #[test]
    fn only_what_a_harmed_provider_streams_may_be_cut() {
        let load = Load::new(1, SocketAddr::from(([127, 0, 0, 1], 1)));
        let judge = |is_stream, who: &str| {
            let mut asks = (0..).map(|number| Ask::drawn(1, number, vec![who.to_owned()]));
            let ask = asks.find(|ask| ask.kind.is_stream() == is_stream).unwrap();
            let cut = load.places.borrow_mut().next(ask.kind);
            let asked = Ok((half(&ask, who), Some("it ended".to_owned())));
            load.judge(&ask, Some(cut), asked)
        };
        for who in [TORN, "slow/m", "mortal/m"] {
            let came = judge(true, who).unwrap();
            assert!(came.seen == Seen::Beginning && !came.is_whole);
            assert!(judge(false, who).is_err(), "{who}");
        }
        for who in [STEADY, NAMED, MOVED] {
            assert!(judge(true, who).is_err(), "{who}");
        }
    }
}
