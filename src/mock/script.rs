//! What a mock does, request by request.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::reply::Reply;
use super::seen::{Place, Seen};

/// How many requests a mock remembers unless told otherwise.
const REMEMBERED: usize = 1024;

type Decide = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
type Greet = Box<dyn Fn(u64) -> Greeting + Send + Sync>;

/// What becomes of a connection that has just been accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Greeting {
    /// Closed at once, nothing read.
    Close,
    /// Kept open and never read, until the peer leaves.
    Ignore,
    /// Closed at once with RST.
    Reset,
    /// Its requests are answered.
    #[default]
    Serve,
}

/// What a mock does. Everything that has a memory (the place in a sequence)
/// is counted for each script of its own. A decision that panics closes its
/// connection without an answer.
pub struct Script {
    rule: Rule,
    greet: Option<Greet>,
    pub(super) remembered: usize,
    pub(super) answers_per_connection: u64,
    pub(super) stale_after: u64,
    pub(super) receive_buffer: Option<u32>,
}

enum Rule {
    Always(Arc<Reply>),
    AtBody(Decide),
    AtHead(Decide),
    ByModel {
        names: Arc<Reply>,
        rules: HashMap<String, Rule>,
        otherwise: Box<Rule>,
    },
    Random {
        seed: u64,
        replies: Vec<(u64, Arc<Reply>)>,
        asked: AtomicU64,
    },
    Sequence(Vec<Arc<Reply>>, AtomicU64),
}

impl Script {
    /// Decides by the whole request. Replies that come before the body is read
    /// ([`Reply::early`], [`Reply::unread`]) are too late here.
    pub fn new(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::following(Rule::AtBody(Box::new(decide)))
    }

    /// Decides by the head alone: the request has no body yet, and `model()`
    /// knows only what the path says.
    pub fn at_head(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::following(Rule::AtHead(Box::new(decide)))
    }

    /// One reply after the other; the last one repeats.
    pub fn sequence(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().map(Arc::new).collect();
        Self::following(Rule::Sequence(replies, AtomicU64::new(0)))
    }

    /// A script (or simply a reply) for each model; another model is answered
    /// with OpenAI's 404, the list of models with these.
    pub fn by_model<'a, S: Into<Self>>(scripts: impl IntoIterator<Item = (&'a str, S)>) -> Self {
        let (names, rules): (Vec<&str>, HashMap<String, Rule>) = scripts
            .into_iter()
            .map(|(name, script)| (name, (name.to_owned(), script.into().rule)))
            .unzip();
        Self::following(Rule::ByModel {
            names: Arc::new(Reply::models(names)),
            rules,
            otherwise: Box::new(Rule::Always(Arc::new(Reply::model_not_found()))),
        })
    }

    /// A provider that has these models and answers for each with this reply.
    pub fn provider<'a>(models: impl IntoIterator<Item = &'a str>, reply: &Reply) -> Self {
        Self::by_model(models.into_iter().map(|model| (model, reply.clone())))
    }

    /// Picks among the replies by weight; the same seed and the same place in
    /// the order of requests pick the same.
    pub fn random(seed: u64, replies: impl IntoIterator<Item = (u32, Reply)>) -> Self {
        let replies = replies
            .into_iter()
            .map(|(weight, reply)| (u64::from(weight), Arc::new(reply)))
            .collect();
        Self::following(Rule::Random {
            seed,
            replies,
            asked: AtomicU64::new(0),
        })
    }

    fn following(rule: Rule) -> Self {
        Self {
            rule,
            greet: None,
            remembered: REMEMBERED,
            answers_per_connection: u64::MAX,
            stale_after: u64::MAX,
            receive_buffer: None,
        }
    }

    /// What [`Script::by_model`] does for any other model.
    #[must_use]
    pub fn otherwise(mut self, script: impl Into<Self>) -> Self {
        if let Rule::ByModel { otherwise, .. } = &mut self.rule {
            **otherwise = script.into().rule;
        }
        self
    }

    /// Decides what becomes of each connection, by its number from 0.
    #[must_use]
    pub fn greet(mut self, greet: impl Fn(u64) -> Greeting + Send + Sync + 'static) -> Self {
        self.greet = Some(Box::new(greet));
        self
    }

    /// Remembers the first so many requests; 0 for load tests.
    #[must_use]
    pub fn remember(mut self, requests: usize) -> Self {
        self.remembered = requests;
        self
    }

    /// Closes each connection after so many answers, without a word.
    #[must_use]
    pub fn close_after(mut self, answers: u64) -> Self {
        self.answers_per_connection = answers;
        self
    }

    /// Keeps each connection open after so many answers, and closes it when
    /// the next request begins to arrive: the race that every pool loses now
    /// and then. Such a request is not seen; it counts as `stale`.
    #[must_use]
    pub fn stale_after(mut self, answers: u64) -> Self {
        self.stale_after = answers;
        self
    }

    /// The kernel's receive buffer of each connection, in bytes: a small one
    /// makes a peer's writes wait early when nothing is read. Only the script
    /// that a mock is started with can set it.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    pub(super) fn greeting(&self, connection: u64) -> Greeting {
        match &self.greet {
            Some(greet) => greet(connection),
            None => Greeting::Serve,
        }
    }

    /// The reply to this request, where its head is enough.
    pub(super) fn by_head(&self, head: &Seen) -> Option<Arc<Reply>> {
        match &self.rule {
            Rule::AtBody(_) | Rule::ByModel { .. } => None,
            Rule::Always(_) | Rule::AtHead(_) | Rule::Random { .. } | Rule::Sequence(..) => {
                Some(self.rule.reply(head))
            }
        }
    }

    /// The reply to this request, where [`Script::by_head`] had none.
    pub(super) fn by_body(&self, seen: &Seen) -> Arc<Reply> {
        self.rule.reply(seen)
    }
}

impl Rule {
    fn reply(&self, seen: &Seen) -> Arc<Reply> {
        match self {
            Self::Always(reply) => Arc::clone(reply),
            Self::AtBody(decide) | Self::AtHead(decide) => Arc::new(decide(seen)),
            Self::ByModel {
                names,
                rules,
                otherwise,
            } => match seen.model() {
                None if seen.place() == Place::Models => Arc::clone(names),
                Some(name) if seen.place() == Place::Models && rules.contains_key(name) => {
                    Arc::clone(names)
                }
                model => model
                    .and_then(|name| rules.get(name))
                    .unwrap_or(otherwise)
                    .reply(seen),
            },
            Self::Random {
                seed,
                replies,
                asked,
            } => random(*seed, asked.fetch_add(1, Ordering::Relaxed), replies),
            Self::Sequence(replies, asked) => {
                let place = asked.fetch_add(1, Ordering::Relaxed);
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                match replies.get(place).or(replies.last()) {
                    Some(reply) => Arc::clone(reply),
                    None => unscripted(),
                }
            }
        }
    }
}

fn random(seed: u64, place: u64, replies: &[(u64, Arc<Reply>)]) -> Arc<Reply> {
    let total: u64 = replies.iter().map(|(weight, _)| weight).sum();
    if total == 0 {
        return unscripted();
    }
    let mut left = roll(seed, place) % total;
    for (weight, reply) in replies {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return Arc::clone(reply),
        }
    }
    unscripted()
}

/// The answer of a script without replies.
fn unscripted() -> Arc<Reply> {
    Arc::new(Reply::plain(500, "text/plain", "nothing is scripted\n"))
}

/// An evenly distributed number that only depends on the two given ones: the
/// dice of [`Script::random`], for greetings and test drivers (SplitMix64).
pub fn roll(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl From<Reply> for Script {
    fn from(reply: Reply) -> Self {
        Self::following(Rule::Always(Arc::new(reply)))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match &self.rule {
            Rule::Always(_) => "always",
            Rule::AtBody(_) => "at body",
            Rule::AtHead(_) => "at head",
            Rule::ByModel { .. } => "by model",
            Rule::Random { .. } => "random",
            Rule::Sequence(..) => "sequence",
        };
        f.debug_struct("Script")
            .field("rule", &rule)
            .finish_non_exhaustive()
    }
}
