//! What is waited for once nobody harms any more.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::LOOK;
use super::admin::Admin;
use super::harm::Target;
use super::load::{HARMED, Load};
use super::report::Found;
use crate::ask::STEADY;
use crate::status::View;

/// How long healing may take once nobody harms any more: the longest cool-down
/// and its jitter, a probe, and a slow machine.
const HEAL: Duration = Duration::from_secs(10);
/// How long it may take until all rows are in the database.
const SETTLE: Duration = Duration::from_secs(120);

/// Waits until every target is healthy; how long that took.
pub(super) async fn heal(load: &Load, target: Target) -> Result<Option<Duration>, String> {
    let mut admin = Admin::of(target.admin);
    let began = Instant::now();
    while began.elapsed() < HEAL {
        let answer = admin.get("/status").await?;
        let status = serde_json::from_slice(&answer.body);
        let mut status: Value = status.map_err(|error| format!("/status: {error}"))?;
        // Names upstream of earlier configurations are shown for a while too;
        // nobody asks for them any more.
        if let Some(targets) = status["targets"].as_array_mut() {
            targets.retain(|target| {
                target["model"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("/m"))
            });
        }
        let mut all = HARMED.into_iter().chain([STEADY]);
        let is_well = |name: &str| {
            let provider = name.split('/').next().unwrap_or_default();
            View::of(provider, &status).is_healthy()
        };
        if all.all(is_well) {
            return Ok(Some(began.elapsed()));
        }
        sleep(LOOK).await;
    }
    let answer = admin.get("/status").await?;
    load.violated(
        load.began.elapsed(),
        &format!("/status: {}", String::from_utf8_lossy(&answer.body)),
    );
    Ok(None)
}

/// Waits until all is written down, and counted where the process has seen all
/// of it.
pub(super) async fn settle(
    load: &Load,
    target: Target,
    found: &mut Found,
    has_seen_all: bool,
) -> Result<(), String> {
    let mut admin = Admin::of(target.admin);
    let until = Instant::now() + SETTLE;
    let requests = load.seen.borrow().len() as u64;
    loop {
        let counted = admin.metric("standin_requests_total", "").await?;
        let pending = admin.metric("standin_ledger_pending", "").await?;
        let flying = admin.metric("standin_in_flight", "").await?;
        let counted = counted + found.before.counted;
        found.counted = has_seen_all.then_some(counted);
        let is_counted = !has_seen_all || found.is_all(counted, requests);
        if is_counted && (pending, flying) == (0, 0) {
            break;
        }
        if Instant::now() > until {
            let what = format!("{pending} rows are pending, {flying} requests in flight");
            found.wrong.push(what);
            break;
        }
        sleep(LOOK).await;
    }
    let lost = admin.metric("standin_ledger_lost_total", "").await?;
    let damaged = admin.metric("standin_ledger_damaged_total", "").await?;
    found.lost = found.before.lost + lost;
    found.damaged = found.before.damaged + damaged;
    Ok(())
}
