//! The ways out: at a signal, or after another process has come.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::doors::Behind;
use super::notify::{Manager, Standing};
use super::signals::Signals;
use crate::front::Drain;

/// How long the connections may take to hand out what is written, and to say
/// goodbye, when the last request has ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// Lets streams in flight finish; a second signal ends it at once.
pub(super) async fn stop(behind: &Behind, manager: &Manager, signals: &mut Signals) {
    let leave = async {
        lead(behind, manager).await;
        refuse(behind, Some(manager)).await;
    };
    unless_stopped(behind, signals, leave).await;
}

/// Lets the connections end that are there, when another process accepts those
/// that come: what they ask is answered, and is the last that they ask. At a
/// signal requests are refused, and a second one ends it at once.
pub(super) async fn follow(behind: &Behind, signals: &mut Signals) {
    let longest = behind.house.load().config.drain;
    let drain = &behind.drain;
    let (left, busy) = (drain.connections(), drain.in_flight());
    log::info!(
        event = "drain", in_flight = busy;
        "draining: {busy} requests in flight, {left} connections are left"
    );
    let is_over = tokio::select! {
        over = timeout(longest, drain.closed()) => {
            if over.is_err() {
                cut_off(behind).await;
            }
            true
        }
        () = signals.stop() => false,
    };
    if !is_over {
        // Of the service's process its manager has another idea by now.
        unless_stopped(behind, signals, refuse(behind, None)).await;
    }
}

async fn unless_stopped(behind: &Behind, signals: &mut Signals, leave: impl Future<Output = ()>) {
    tokio::select! {
        () = leave => {}
        () = signals.stop() => {
            let left = behind.drain.in_flight();
            log::warn!(event = "drain_over", in_flight = left; "stopped at the second signal");
            // Its moment may have begun already.
            if !behind.drain.is_cut_off() {
                say_goodbye(&behind.drain).await;
            }
        }
    }
}

/// Serves on for the lead.
async fn lead(behind: &Behind, manager: &Manager) {
    let lead = behind.house.load().config.lead;
    if lead.is_zero() {
        return;
    }
    behind.drain.lead();
    let leaving = format!("leaving: requests are taken for {lead:?} more");
    manager.tell(&Standing::Stopping, &leaving);
    log::info!(event = "lead"; "{leaving}");
    sleep(lead).await;
}

/// Refuses what comes, and waits for what is in flight.
pub(super) async fn refuse(behind: &Behind, manager: Option<&Manager>) {
    let longest = behind.house.load().config.drain;
    let drain = &behind.drain;
    drain.begin();
    let left = drain.in_flight();
    let draining = format!("draining: {left} requests in flight");
    if let Some(manager) = manager {
        manager.tell(&Standing::Stopping, &draining);
    }
    log::info!(event = "drain", in_flight = left; "{draining}");
    match timeout(longest, drain.empty()).await {
        // Out of time only cuts connections that have their answers.
        Ok(()) => drop(timeout(GOODBYE, drain.closed()).await),
        Err(_) => cut_off(behind).await,
    }
}

/// Ends what is in flight.
async fn cut_off(behind: &Behind) {
    let left = behind.drain.in_flight();
    log::warn!(
        event = "drain_over", in_flight = left;
        "drain: {left} requests cut off"
    );
    say_goodbye(&behind.drain).await;
}

/// Every request in flight ends, and has a moment to say so: no client holds
/// the process up.
async fn say_goodbye(drain: &Drain) {
    drain.cut_off();
    let _ = timeout(GOODBYE, drain.closed()).await;
}
