//! Standin itself is killed again and again: what it has promised to
//! remember of an answer is there when it is back.

use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use standin::mock::roll;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::books::Books;
use super::cast::Cast;
use super::harm::{Done, Target};
use super::load::{self, Load};
use super::report::Found;
use super::{Options, Scene, end, settle, watch};
use crate::proxy::Proxy;
use crate::say;

/// How long it lives, at most; at least a tenth.
const LIFE: Duration = Duration::from_secs(5);

pub(super) async fn observe(options: &Options, scene: &Scene, cast: Cast) -> Result<Found, String> {
    let mut proxy = scene.proxy().await?;
    let load = Rc::new(Load::new(options.seed, proxy.listen));
    let mut wrong = Vec::new();
    let mut clients = JoinSet::new();
    for _ in 0..options.connections {
        clients.spawn_local(load::client(Rc::clone(&load)));
    }
    let until = Instant::now() + options.time;
    while Instant::now() < until {
        live(
            &mut proxy,
            life(options.seed, load.deaths.get()),
            &mut wrong,
        )
        .await?;
        load.is_down.set(true);
        load.deaths.set(load.deaths.get() + 1);
        load.note("standin is killed");
        proxy.signal(Signal::SIGKILL)?;
        watch(&mut proxy, &mut wrong).await?;
        proxy = scene.proxy().await?;
        load.listen.set(proxy.listen);
        load.is_down.set(false);
        load.note("standin is back");
        if load.deaths.get().is_multiple_of(10) {
            let requests = load.seen.borrow().len();
            say(&format!(
                "{} deaths, {requests} requests",
                load.deaths.get()
            ));
        }
    }
    load.stop.set(true);
    let mut found = Found::default();
    let target = Target {
        admin: proxy.admin,
        pid: proxy.pid,
    };
    let stop = async {
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| format!("a client: {error}"))?;
        }
        settle(&load, target, &mut found, false).await
    };
    tokio::select! {
        stopped = stop => stopped?,
        ended = watch(&mut proxy, &mut wrong) => return Err(format!("standin ended: {ended:?}")),
    }
    found.wall = load.began.elapsed();
    end(&mut proxy, &mut wrong).await?;
    found.books = Books::of(&scene.place.ledger(), &load.seen.borrow())?;
    found.wrong = wrong;
    found.take(&load, &Done::default());
    cast.end().await?;
    Ok(found)
}

fn life(seed: u64, death: u64) -> Duration {
    let span = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(span / 10 + roll(seed ^ 0xdead, death) % (span - span / 10))
}

/// Lets it live so long.
async fn live(proxy: &mut Proxy, life: Duration, wrong: &mut Vec<String>) -> Result<(), String> {
    tokio::select! {
        () = sleep(life) => Ok(()),
        ended = watch(proxy, wrong) => Err(format!("standin ended: {ended:?}")),
    }
}
