//! Signals, and what each asks for.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::yield_now;

/// The signals that a server knows. Waited for before anybody can know that
/// it runs: what comes earlier ends the process.
pub(super) struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Signals {
    /// # Errors
    /// They cannot be waited for, in one sentence.
    pub(super) fn new() -> Result<Self, String> {
        let signal = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        // A file that may not grow is a full disk, which the ledger lives
        // with; by default the signal that comes with it ends the process. Its
        // handler stays where nobody waits for it.
        drop(signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?);
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
            _ = self.quit.recv() => Wish::Upgrade,
        }
    }

    /// Until it is to end. What else is wished waits.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Whether it is to end now.
    pub(super) async fn has_stop(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop() => true,
            () = yield_now() => false,
        }
    }
}

/// What a signal asks for.
pub(super) enum Wish {
    Reload,
    Stop,
    /// Hand over to another process.
    Upgrade,
}
