//! One provider each, for processes of their own: who is killed takes nobody
//! along.

use std::time::Duration;

use standin::mock::{At, Reply, Script, roll};

use super::{Scene, chaos};
use crate::ask::{WORDS, number};
use crate::faults::{CUT, Cut};
use crate::modes::{MODE, WELL};

/// The scene of this provider.
pub(super) fn scene(provider: &str, seed: u64) -> Option<Scene> {
    let (name, script): (&'static str, Script) = match provider {
        "mortal" => ("mortal", mortal(seed)),
        "named" => ("named", chaos::steady(seed)),
        "slow" => ("slow", slow(seed)),
        "steady" => ("steady", chaos::steady(seed)),
        "torn" => ("torn", torn()),
        _ => return None,
    };
    Some(Scene {
        part: |words| (words == ["well"]).then(|| answer().into()),
        ..Scene::new(vec![(name, script)], "")
    })
}

fn answer() -> Reply {
    Reply::answer(WORDS).echo().header(MODE, WELL)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Takes its time, so that whoever kills it finds it in the midst of answers.
fn mortal(seed: u64) -> Script {
    Script::at_head(move |seen| {
        let dice = roll(seed, seen.test_id().and_then(number).unwrap_or(0));
        answer()
            .after(millis(dice % 20))
            .between(millis(dice >> 8 & 7))
    })
    .remember(0)
}

/// Late before the head and between events, byte by byte, and at times silent
/// for good.
fn slow(seed: u64) -> Script {
    Script::at_head(move |seen| {
        let dice = roll(seed ^ 0x510, seen.test_id().and_then(number).unwrap_or(0));
        let (late, some) = (millis(dice >> 16 & 255), millis(dice >> 24 & 31));
        match dice & 63 {
            0 => answer().stall(At::Start),
            1 => answer().stall(At::Head),
            2 => answer().stall(At::Wire(usize::try_from(dice >> 32 & 1023).unwrap_or(0))),
            3..20 => answer().trickle(64, millis(5)),
            20..40 => answer().between(some),
            _ => answer().after(late),
        }
    })
    .remember(0)
}

/// Breaks off where the request says.
fn torn() -> Script {
    Script::at_head(|seen| match seen.header(CUT).and_then(Cut::read) {
        Some(cut) => cut.reply(seen.test_id().unwrap_or_default()),
        None => answer(),
    })
    .remember(0)
}
