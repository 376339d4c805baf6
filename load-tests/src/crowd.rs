//! Many clients at the same time, and what became of each request: for runs
//! that judge afterwards.

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::ask::Ask;
use crate::client::Client;
use crate::walk::Walk;

/// After so many wrong answers a client stops: the run has failed.
const ENOUGH: u64 = 100;

/// What became of one request. Times are since the crowd's beginning.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) number: u64,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// The walk that led to the right answer, or what was wrong with it.
    pub(crate) walk: Result<Walk, String>,
}

/// Clients that ask one request after the other. They run on the thread's
/// `LocalSet`, and end when this is dropped.
pub(crate) struct Crowd {
    shared: Rc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    listen: SocketAddr,
    /// Makes the request with this number.
    make: Box<dyn Fn(u64) -> Ask>,
    began: Instant,
    /// The next request's number, and the one at which clients stop.
    next: Cell<u64>,
    end: Cell<u64>,
    wrong: Cell<u64>,
    samples: RefCell<Vec<Sample>>,
    /// Those who have nothing to do, with their connections.
    idle: RefCell<Vec<Client>>,
    /// Told of each sample.
    came: Notify,
}

impl Sample {
    /// Its walk, where it was answered.
    pub(crate) fn walk(&self) -> Option<&Walk> {
        self.walk.as_ref().ok()
    }

    pub(crate) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }
}

impl Crowd {
    pub(crate) fn new(listen: SocketAddr, make: impl Fn(u64) -> Ask + 'static) -> Self {
        let shared = Shared {
            listen,
            make: Box::new(make),
            began: Instant::now(),
            next: Cell::new(0),
            end: Cell::new(0),
            wrong: Cell::new(0),
            samples: RefCell::default(),
            idle: RefCell::default(),
            came: Notify::new(),
        };
        Self {
            shared: Rc::new(shared),
            clients: JoinSet::new(),
        }
    }

    /// Since its beginning.
    pub(crate) fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// The moment from which that counts.
    pub(crate) fn began(&self) -> Instant {
        self.shared.began
    }

    /// Sends so many requests more over so many connections, and waits for
    /// their answers.
    pub(crate) async fn send(&mut self, requests: u64, connections: usize) {
        self.begin(self.shared.next.get() + requests, connections);
        while self.clients.join_next().await.is_some() {}
    }

    /// Sends over so many connections until [`Crowd::stop`].
    pub(crate) fn start(&mut self, connections: usize) {
        self.begin(u64::MAX, connections);
    }

    fn begin(&mut self, end: u64, connections: usize) {
        self.shared.end.set(end);
        for _ in 0..connections {
            self.clients.spawn_local(work(Rc::clone(&self.shared)));
        }
    }

    /// Waits for the answers that are on their way, and sends no more.
    pub(crate) async fn stop(&mut self) {
        self.shared.end.set(0);
        while self.clients.join_next().await.is_some() {}
    }

    /// Waits for so many samples of this kind from now on; false where they
    /// do not come in time.
    pub(crate) async fn sees(
        &self,
        count: usize,
        kind: impl Fn(&Sample) -> bool,
        within: Duration,
    ) -> bool {
        let mut looked = self.samples().len();
        let mut left = count;
        let wait = async {
            loop {
                let came = self.shared.came.notified();
                {
                    let samples = self.samples();
                    let new = samples.get(looked..).unwrap_or_default();
                    left = left.saturating_sub(new.iter().filter(|one| kind(one)).count());
                    looked = samples.len();
                }
                if left == 0 {
                    return;
                }
                came.await;
            }
        };
        timeout(within, wait).await.is_ok()
    }

    /// Closes the connections that are kept for the next requests.
    pub(crate) fn hang_up(&self) {
        self.shared.idle.borrow_mut().clear();
    }

    /// In the order of their ends.
    pub(crate) fn samples(&self) -> Ref<'_, Vec<Sample>> {
        self.shared.samples.borrow()
    }

    /// Takes them out.
    pub(crate) fn take(&self) -> Vec<Sample> {
        self.shared.samples.take()
    }
}

/// One client.
async fn work(shared: Rc<Shared>) {
    let idle = shared.idle.borrow_mut().pop();
    let mut client = idle.unwrap_or_else(|| Client::of(shared.listen));
    while shared.next.get() < shared.end.get() && shared.wrong.get() < ENOUGH {
        let number = shared.next.get();
        shared.next.set(number + 1);
        let ask = (shared.make)(number);
        let began = shared.began.elapsed();
        let walk = client.ask(&ask).await;
        if walk.is_err() {
            shared.wrong.set(shared.wrong.get() + 1);
        }
        shared.samples.borrow_mut().push(Sample {
            number,
            began,
            ended: shared.began.elapsed(),
            walk,
        });
        shared.came.notify_waiters();
    }
    shared.idle.borrow_mut().push(client);
}

/// What is wrong with those that were not answered right: the first few in
/// words, and how many there are.
pub(crate) fn wrong<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<String> {
    const DESCRIBED: usize = 3;
    // What is wrong comes first, then all of the answer.
    const CHARACTERS: usize = 400;
    let all: Vec<String> = samples
        .filter_map(|sample| {
            let why = sample.walk.as_ref().err()?;
            let why: String = why.chars().take(CHARACTERS).collect();
            Some(format!("request {}: {why}", sample.number))
        })
        .collect();
    let more = all.len().saturating_sub(DESCRIBED);
    let mut told: Vec<String> = all.into_iter().take(DESCRIBED).collect();
    if more > 0 {
        told.push(format!("and {more} requests more without a right answer"));
    }
    told
}
