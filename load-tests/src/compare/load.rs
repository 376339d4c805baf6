//! Sends requests as fast as one thread can, or at a fixed rate, and takes
//! time. A request of a fixed rate is late from the moment at which it was to
//! be sent, whether or not anybody was free to send it: otherwise a proxy that
//! halts would halt its own measurement.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::answer::Answer;
use super::turn::{TIMER, Turn};

/// Longer than anything on loopback takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// On each connection as soon as the last one is answered.
    Closed,
    /// So many in a second.
    Open(f64),
    /// One on each connection, so many beginning at the same time; they need
    /// not end.
    Once(usize),
}

/// What an answer must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// Bytes of a plain body.
    pub(super) length: Option<u64>,
    /// Events of a stream.
    pub(super) events: Option<u64>,
    /// What is counted where a head holds it.
    pub(super) mark: &'static [u8],
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) at: SocketAddr,
    pub(super) connections: usize,
    /// Whole requests, sent in turn.
    pub(super) requests: Vec<Vec<u8>>,
    pub(super) pace: Pace,
    /// Before anything is counted, …
    pub(super) warm: Duration,
    /// … and for how long it is.
    pub(super) measure: Duration,
    /// Gaps between events above this are counted.
    pub(super) gap: Duration,
    pub(super) expected: Expected,
}

/// What a run has taken, from its warm-up to its end. Times in nanoseconds.
#[derive(Debug)]
pub(super) struct Taken<P> {
    pub(super) wall: Duration,
    pub(super) answers: u64,
    pub(super) events: u64,
    /// Answers whose head held the mark.
    pub(super) marked: u64,
    pub(super) latency: Histogram<u64>,
    /// Until a stream's first event.
    pub(super) first: Histogram<u64>,
    pub(super) gaps: Histogram<u64>,
    pub(super) long_gaps: u64,
    /// What was looked at when it began, and when it was over.
    pub(super) before: P,
    pub(super) after: P,
}

/// One connection.
struct Lane {
    stream: TcpStream,
    /// Which request, and how much of it has been sent.
    request: usize,
    sent: usize,
    busy: bool,
    answer: Answer,
    since: Instant,
    last_event: Instant,
}

struct Load<'a> {
    plan: &'a Plan,
    turn: Turn,
    lanes: Vec<Lane>,
    /// Lanes without a request.
    free: Vec<usize>,
    /// Moments at which requests should have been sent and were not.
    late: VecDeque<Instant>,
    next: usize,
    buffer: Vec<u8>,
    /// Between which moments it is counted.
    from: Option<Instant>,
    to: Option<Instant>,
    ending: bool,
    /// Streams without their first event.
    beginning: usize,
    answers: u64,
    events: u64,
    marked: u64,
    latency: Histogram<u64>,
    first: Histogram<u64>,
    gaps: Histogram<u64>,
    long_gaps: u64,
}

/// Runs it on this thread. `look` is called when counting begins and ends.
pub(super) fn run<P>(
    plan: &Plan,
    mut look: impl FnMut() -> Result<P, String>,
) -> Result<Taken<P>, String> {
    let mut load = Load::new(plan)?;
    if !plan.is_once() {
        while load.lanes.len() < plan.connections {
            load.connect()?;
        }
    }
    let began = Instant::now();
    let mut due = began;
    let mut sent = 0_u64;
    let mut before = None;
    let mut counted_from = began;
    let mut after = None;
    let mut happened = Vec::new();
    let warm = began + plan.warm;
    let end = warm + plan.measure;
    let give_up = end + PATIENCE;
    if plan.pace == Pace::Closed {
        for lane in std::mem::take(&mut load.free) {
            load.begin(lane, Instant::now())?;
        }
    }
    loop {
        let now = Instant::now();
        if now > give_up {
            return Err(format!("{} answers are missing", load.busy()));
        }
        if before.is_none() && now >= warm && load.is_begun() {
            before = Some(look()?);
            counted_from = Instant::now();
            load.from = Some(counted_from);
        }
        // Also what became due in the last moment.
        match plan.pace {
            Pace::Open(rate) if !load.ending => {
                while due <= now {
                    match load.free.pop() {
                        Some(lane) => load.begin(lane, due)?,
                        None => load.late.push_back(due),
                    }
                    sent += 1;
                    due = began + Duration::from_secs_f64(crate::rounds::count(sent) / rate);
                }
                load.turn.wake_at(due)?;
            }
            Pace::Once(at_once) => load.ramp(at_once)?,
            Pace::Closed | Pace::Open(_) => {}
        }
        let is_over = before.is_some() && now >= end.max(counted_from + plan.measure);
        if is_over && after.is_none() {
            load.to = Some(now);
            after = Some(look()?);
            load.ending = true;
        }
        if load.ending && (plan.is_once() || load.busy() == 0) {
            break;
        }
        load.turn.wait(Duration::from_millis(20), &mut happened)?;
        for number in &happened {
            if *number != TIMER {
                load.lane(usize::try_from(*number).unwrap_or(usize::MAX))?;
            }
        }
    }
    let (Some(before), Some(after), Some(to)) = (before, after, load.to) else {
        return Err("nothing was counted".to_owned());
    };
    Ok(Taken {
        wall: to - counted_from,
        answers: load.answers,
        events: load.events,
        marked: load.marked,
        latency: load.latency,
        first: load.first,
        gaps: load.gaps,
        long_gaps: load.long_gaps,
        before,
        after,
    })
}

impl Plan {
    fn is_once(&self) -> bool {
        match self.pace {
            Pace::Once(_) => true,
            Pace::Closed | Pace::Open(_) => false,
        }
    }
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> Result<Self, String> {
        let times = || {
            let times = Histogram::new_with_bounds(100, LONGEST, 3);
            times.map_err(|error| error.to_string())
        };
        Ok(Self {
            plan,
            turn: Turn::new()?,
            lanes: Vec::with_capacity(plan.connections),
            free: Vec::new(),
            late: VecDeque::new(),
            next: 0,
            buffer: vec![0; 256 << 10],
            from: None,
            to: None,
            ending: false,
            beginning: 0,
            answers: 0,
            events: 0,
            marked: 0,
            latency: times()?,
            first: times()?,
            gaps: times()?,
            long_gaps: 0,
        })
    }

    fn connect(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("connecting to {}: {error}", self.plan.at);
        let stream = TcpStream::connect(self.plan.at).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let number = self.lanes.len();
        self.turn.stream(&stream, number as u64)?;
        let now = Instant::now();
        self.lanes.push(Lane {
            stream,
            request: 0,
            sent: 0,
            busy: false,
            answer: Answer::new(),
            since: now,
            last_event: now,
        });
        self.free.push(number);
        Ok(())
    }

    /// Begins more streams, while few wait for their first event.
    fn ramp(&mut self, at_once: usize) -> Result<(), String> {
        while self.lanes.len() < self.plan.connections && self.beginning < at_once {
            self.connect()?;
            if let Some(lane) = self.free.pop() {
                self.beginning += 1;
                self.begin(lane, Instant::now())?;
            }
        }
        Ok(())
    }

    /// Whether everything is under way that has to be before it is counted.
    fn is_begun(&self) -> bool {
        !self.plan.is_once() || (self.lanes.len() == self.plan.connections && self.beginning == 0)
    }

    fn busy(&self) -> usize {
        self.lanes.len() - self.free.len() + self.late.len()
    }

    fn begin(&mut self, number: usize, since: Instant) -> Result<(), String> {
        let Some(lane) = self.lanes.get_mut(number) else {
            return Err(format!("no connection {number}"));
        };
        lane.request = self.next;
        self.next = (self.next + 1) % self.plan.requests.len().max(1);
        lane.sent = 0;
        lane.busy = true;
        lane.answer.begin();
        lane.since = since;
        lane.send(&self.plan.requests)
    }

    /// Something has happened on this connection.
    fn lane(&mut self, number: usize) -> Result<(), String> {
        let plan = self.plan;
        let (from, to) = (self.from, self.to);
        // At a fixed rate what was to be sent meanwhile is counted, however
        // late its answer comes; else what has come meanwhile.
        let counts = |since: Instant| match plan.pace {
            Pace::Closed | Pace::Once(_) => from.is_some() && to.is_none(),
            Pace::Open(_) => {
                from.is_some_and(|from| since >= from) && to.is_none_or(|to| since < to)
            }
        };
        loop {
            let Some(lane) = self.lanes.get_mut(number) else {
                return Ok(());
            };
            if lane.busy {
                lane.send(&plan.requests)?;
            }
            let count = match lane.stream.read(&mut self.buffer) {
                Ok(0) if lane.busy => return Err("a connection was closed in an answer".into()),
                Ok(0) => return Err("a connection was closed between answers".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("reading: {error}")),
            };
            if !lane.busy {
                return Err("bytes that nobody has asked for".to_owned());
            }
            let bytes = self.buffer.get(..count).unwrap_or_default();
            let had = lane.answer.events;
            let is_whole = lane.answer.read(bytes, plan.expected.mark)?;
            let is_drained = count < self.buffer.len();
            let now = Instant::now();
            let came = lane.answer.events - had;
            if came > 0 && plan.expected.events.is_some() {
                if had == 0 {
                    self.beginning = self.beginning.saturating_sub(1);
                }
                let since = if had == 0 {
                    lane.since
                } else {
                    lane.last_event
                };
                lane.last_event = now;
                if plan.is_once() || counts(lane.since) {
                    let took = now - since;
                    let times = if had == 0 {
                        &mut self.first
                    } else {
                        &mut self.gaps
                    };
                    times.saturating_record(nanos(took));
                    self.long_gaps += u64::from(had > 0 && took > plan.gap);
                    self.events += came;
                }
            }
            if is_whole {
                let since = lane.since;
                plan.expected.check(&lane.answer)?;
                if lane.sent < plan.requests.get(lane.request).map_or(0, Vec::len) {
                    return Err("answered before the request was sent".to_owned());
                }
                lane.busy = false;
                if counts(since) {
                    self.answers += 1;
                    self.marked += u64::from(lane.answer.marked);
                    self.latency.saturating_record(nanos(now - since));
                }
                self.done(number, now)?;
            }
            if is_drained {
                return Ok(());
            }
        }
    }

    /// What this connection does next.
    fn done(&mut self, number: usize, now: Instant) -> Result<(), String> {
        match (self.plan.pace, self.late.pop_front()) {
            (Pace::Closed, _) if !self.ending => self.begin(number, now),
            (Pace::Open(_), Some(due)) => self.begin(number, due),
            (Pace::Closed | Pace::Open(_) | Pace::Once(_), _) => {
                self.free.push(number);
                Ok(())
            }
        }
    }
}

impl Lane {
    fn send(&mut self, requests: &[Vec<u8>]) -> Result<(), String> {
        let request = requests.get(self.request).map_or(&[][..], Vec::as_slice);
        while let Some(left) = request.get(self.sent..).filter(|left| !left.is_empty()) {
            match self.stream.write(left) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }
}

impl Expected {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        if answer.closes {
            return Err("an answer ends its connection".to_owned());
        }
        if let Some(length) = self.length
            && answer.length != length
        {
            return Err(format!("{} bytes instead of {length}", answer.length));
        }
        if let Some(events) = self.events
            && (answer.events != events || !answer.is_done())
        {
            return Err(format!("{} events instead of {events}", answer.events));
        }
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::provider;
    use super::super::request::{WELL, chat};
    use super::*;

    fn plan(answer: &str, pace: Pace, expected: Expected) -> Plan {
        let at = super::super::machine::address().unwrap();
        std::thread::spawn(move || provider::serve(at.port()));
        while TcpStream::connect(at).is_err() {
            std::thread::yield_now();
        }
        Plan {
            at,
            connections: 4,
            requests: vec![chat(&[WELL], 2048, answer)],
            pace,
            warm: Duration::ZERO,
            measure: Duration::from_millis(200),
            gap: Duration::from_secs(60),
            expected,
        }
    }

    fn plain(length: u64) -> Expected {
        Expected {
            length: Some(length),
            ..Expected::default()
        }
    }

    fn stream(events: u64) -> Expected {
        Expected {
            events: Some(events),
            ..Expected::default()
        }
    }

    #[test]
    fn a_closed_loop_counts_what_it_was_answered() {
        let taken = run(&plan("plain 2048", Pace::Closed, plain(2048)), || Ok(())).unwrap();
        assert!(taken.answers > 0);
        assert_eq!(taken.answers, taken.latency.len());
        assert!(taken.wall >= Duration::from_millis(200));
    }

    #[test]
    fn an_open_loop_sends_its_rate_and_counts_each_answer_however_late() {
        let plan = plan("plain 2048", Pace::Open(1_000.0), plain(2048));
        let taken = run(&plan, || Ok(())).unwrap();
        let due = taken.wall.as_secs_f64() * 1_000.0;
        assert!((crate::rounds::count(taken.answers) - due).abs() <= 2.0);
    }

    #[test]
    fn time_counts_from_when_a_request_was_to_be_sent() {
        // Four connections and 4 ms for each stream: a tenth of the rate, so
        // the later ones wait for the earlier.
        let plan = plan("stream 5 1000", Pace::Open(10_000.0), stream(5));
        let taken = run(&plan, || Ok(())).unwrap();
        // 1,800 of 2,000 wait at the end, each four of them for 4 ms.
        assert!(
            taken.latency.max() > 1_500_000_000,
            "{}",
            taken.latency.max()
        );
    }

    #[test]
    fn streams_that_never_end_are_left() {
        let plan = plan("stream 1000 60000000", Pace::Once(2), stream(1000));
        let taken = run(&plan, || Ok(())).unwrap();
        assert_eq!((taken.first.len(), taken.answers), (4, 0));
    }

    #[test]
    fn a_wrong_answer_ends_the_run() {
        let plan = plan("plain 2048", Pace::Closed, plain(2047));
        assert!(run(&plan, || Ok(())).unwrap_err().contains("instead of"));
        let plan = self::plan("stream 5 0", Pace::Closed, stream(6));
        assert!(run(&plan, || Ok(())).unwrap_err().contains("instead of"));
    }
}
