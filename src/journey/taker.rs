//! A client whose answer has begun, and whether it takes it as it comes.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::patience::at_once;
use crate::seam::{Committed, Gone};

/// A client that takes longer than this for one piece keeps the provider
/// waiting, once the buffers between are full. Providers give up on that after
/// some seconds at the least.
const KEEPS_WAITING: Duration = Duration::from_secs(1);

/// A client whose answer has begun.
pub(super) struct Taker<'a, C> {
    /// Itself.
    pub(super) client: C,
    /// It is cut off, or has once taken so long that what breaks from then on
    /// may be its doing.
    pub(super) is_ours: &'a mut bool,
}

impl<C: Committed> Committed for Taker<'_, C> {
    async fn gone(&mut self) -> Gone {
        let gone = self.client.gone().await;
        *self.is_ours |= gone == Gone::CutOff;
        gone
    }

    fn is_cut_off(&self) -> bool {
        self.client.is_cut_off()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let mut written = pin!(self.client.write(bytes));
        if let Some(written) = at_once(written.as_mut()).await {
            return written;
        }
        let began = Instant::now();
        let written = written.await;
        *self.is_ours |= began.elapsed() >= KEEPS_WAITING || written == Err(Gone::CutOff);
        written
    }

    async fn end(self) -> Result<(), Gone> {
        let ended = self.client.end().await;
        *self.is_ours |= ended == Err(Gone::CutOff);
        ended
    }

    async fn break_off(self) {
        self.client.break_off().await;
    }
}
