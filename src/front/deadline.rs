//! Waits for a client that end at a moment.

use std::future::Future;
use std::pin::pin;

use tokio::time::{Instant, timeout_at};

use crate::patience::at_once;

/// Waits for something until a moment, which is asked for only where it is not
/// there at once; nothing when that has come.
pub(super) async fn by<F: Future>(end: impl FnOnce() -> Instant, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    match at_once(work.as_mut()).await {
        Some(done) => Some(done),
        None => timeout_at(end(), work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_waits_asks_how_long() {
        let never = || unreachable!("nobody waits");
        assert_eq!(by(never, ready(1)).await, Some(1));
        let began = Instant::now();
        let end = began + Duration::from_secs(60);
        assert_eq!(by(|| end, pending::<()>()).await, None);
        assert_eq!(Instant::now(), end);
    }
}
