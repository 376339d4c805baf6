//! Waiting, but not for ever: what is there at once costs no timer and no
//! look at the clock.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// What a future gives without having to be waited for, if anything. It may be
/// waited for afterwards.
pub async fn at_once<F: Future>(mut work: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match work.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

/// Waits for something, but not longer than this; nothing where that has
/// passed.
pub async fn within<F: Future>(longest: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    match at_once(work.as_mut()).await {
        Some(done) => Some(done),
        None => timeout(longest, work).await.ok(),
    }
}

/// Waits for one thing after the other, for each not longer than some time.
/// Its one timer is not moved by what comes in time: it goes off seldom, and
/// then is set anew.
#[derive(Debug, Default)]
pub struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits for something, but not longer than this; nothing where that has
    /// passed.
    pub async fn within<F: Future>(&mut self, longest: Duration, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut end = None;
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let end = *end.get_or_insert_with(|| Instant::now() + longest);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(end)))
                .as_mut();
            Poll::Ready(ready!(poll_until(timer, end, context)))
        })
        .await
    }
}

/// Ready with nothing when this moment has come.
fn poll_until<T>(
    mut timer: Pin<&mut Sleep>,
    end: Instant,
    context: &mut std::task::Context<'_>,
) -> Poll<Option<T>> {
    if timer.deadline() > end {
        timer.as_mut().reset(end);
    }
    loop {
        ready!(timer.as_mut().poll(context));
        if timer.deadline() >= end {
            return Poll::Ready(None);
        }
        // It was set for what has come since.
        timer.as_mut().reset(end);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Comes after so many milliseconds.
    async fn after(millis: u64) -> u64 {
        sleep(Duration::from_millis(millis)).await;
        millis
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_taken_even_where_no_time_is_given() {
        assert_eq!(at_once(pin!(ready(1))).await, Some(1));
        assert_eq!(at_once(pin!(pending::<()>())).await, None);
        assert_eq!(within(Duration::ZERO, ready(1)).await, Some(1));
        let mut patience = Patience::default();
        assert_eq!(patience.within(Duration::ZERO, ready(1)).await, Some(1));
        assert!(patience.timer.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_looked_at_can_still_be_waited_for() {
        let mut work = pin!(after(5));
        assert_eq!(at_once(work.as_mut()).await, None);
        assert_eq!(work.await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_its_time_has_passed() {
        let began = Instant::now();
        assert_eq!(within(SECOND, after(999)).await, Some(999));
        assert_eq!(within(SECOND, pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_millis(), 1999);
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_many_waits_has_all_its_time() {
        let mut patience = Patience::default();
        for _ in 0..5 {
            assert_eq!(patience.within(SECOND, after(900)).await, Some(900));
        }
        let began = Instant::now();
        assert_eq!(patience.within(SECOND, pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_millis(), 1000);
        // And again after that.
        assert_eq!(patience.within(SECOND, after(900)).await, Some(900));
        assert_eq!(patience.within(SECOND, pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_millis(), 2900);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_after_a_longer_one_is_short() {
        let mut patience = Patience::default();
        assert_eq!(patience.within(60 * SECOND, after(10)).await, Some(10));
        let began = Instant::now();
        assert_eq!(patience.within(SECOND, pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_millis(), 1000);
    }
}
