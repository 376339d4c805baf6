//! What a thread waits on: its sockets and one timer.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::time::Instant;

/// The timer's number; every other number is the caller's.
pub(super) const TIMER: u64 = u64::MAX;

/// How many sockets are told of at once.
const AT_ONCE: usize = 512;

/// A thread's turn at what has happened.
pub(super) struct Turn {
    epoll: Epoll,
    timer: TimerFd,
    events: Vec<EpollEvent>,
    /// When the timer is due, while it is set.
    due: Option<Instant>,
}

impl Turn {
    pub(super) fn new() -> Result<Self, String> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(failed)?;
        let turn = Self {
            epoll,
            timer,
            events: vec![EpollEvent::empty(); AT_ONCE],
            due: None,
        };
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        let added = turn.epoll.add(&turn.timer, EpollEvent::new(flags, TIMER));
        added.map_err(failed)?;
        Ok(turn)
    }

    /// Tells of a stream whenever more can be read or written than before.
    pub(super) fn stream(&self, stream: impl AsFd, number: u64) -> Result<(), String> {
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        let added = self.epoll.add(stream, EpollEvent::new(flags, number));
        added.map_err(failed)
    }

    /// Tells of a listener while somebody waits there.
    pub(super) fn listener(&self, listener: impl AsFd, number: u64) -> Result<(), String> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.epoll.add(listener, event).map_err(failed)
    }

    /// Has the timer told of at that moment, which replaces the one before.
    pub(super) fn wake_at(&mut self, due: Instant) -> Result<(), String> {
        if self.due == Some(due) {
            return Ok(());
        }
        self.due = Some(due);
        let after = due.saturating_duration_since(Instant::now());
        // Nothing at all would take the timer back.
        let after = TimeSpec::from(after.max(Duration::from_nanos(1)));
        let set = self
            .timer
            .set(Expiration::OneShot(after), TimerSetTimeFlags::empty());
        set.map_err(failed)
    }

    /// The numbers of what has happened, into `into`; none within `most`.
    pub(super) fn wait(&mut self, most: Duration, into: &mut Vec<u64>) -> Result<(), String> {
        into.clear();
        let most = EpollTimeout::try_from(most).map_err(|error| format!("waiting: {error}"))?;
        let count = match self.epoll.wait(&mut self.events, most) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(failed(error)),
        };
        let told = self.events.get(..count).unwrap_or_default();
        into.extend(told.iter().map(EpollEvent::data));
        if into.contains(&TIMER) {
            self.due = None;
            // Says only that it was due, and by then somebody may have set it
            // anew.
            let _ = self.timer.wait();
        }
        Ok(())
    }
}

fn failed(error: Errno) -> String {
    format!("epoll: {error}")
}
