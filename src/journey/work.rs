//! How long a request was worked on, as against waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

/// Runs something to its end, and adds up the time in which it ran. Between
/// two turns it waits: for the provider, for the client, or for a thread.
pub async fn worked<T>(mut work: Pin<Box<impl Future<Output = T>>>) -> (T, Duration) {
    let mut spent = Duration::ZERO;
    let done = poll_fn(|context| {
        let began = Instant::now();
        let polled = work.as_mut().poll(context);
        spent += began.elapsed();
        polled
    });
    let done = done.await;
    (done, spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_turns_count_and_not_the_time_between() {
        // A paused clock moves while everybody waits, and by no work at all.
        let waits = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(worked(Box::pin(waits)).await, (7, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_turn_that_takes_its_time_counts() {
        let works = async {
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(2));
                tokio::task::yield_now().await;
            }
        };
        let ((), spent) = worked(Box::pin(works)).await;
        assert!(spent >= Duration::from_millis(4), "{spent:?}");
    }
}
