//! When everything else has failed, what was passed over is tried after all.

use tokio::time::advance;

use super::journey::{Inn, Trip};
use super::play::{Play, role, says};
use crate::seam::Broken;

/// One failure is enough.
const QUICK: &str = "health: { failures: 1 }\n";

fn cut() -> Play {
    Play::sse()
        .events([&*role(), &says("Hel")])
        .broken(Broken::Reset)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_and_is_recalled_does_not_end_the_walk() {
    let inn = Inn::new(
        QUICK,
        &[
            ("a/x", &[cut(), Play::silent()]),
            ("c/z", &[Play::error(503, "x"), Play::hello()]),
        ],
    );
    inn.host(Trip::stream(&["a/x"])).await;
    inn.host(Trip::plain(&["c/z"])).await;
    let many = (0..8).map(|_| Trip::plain(&["a/x"]));
    let one_more = Trip::plain(&["a/x", "c/z"]);
    let came = inn.host_all(many.chain([one_more])).await;
    assert_eq!(
        came[8].walk(),
        "a/x=skipped:open, c/z=skipped:open, a/x=cut, c/z=200"
    );
}
