//! A request that is walked through in the benches' world.

use standin::config::Config;
use standin::health::Board;
use standin::journey::{Ask, Means, Receipt, run};

use crate::world::{Guest, World};

/// How it ends.
pub(crate) fn receipt(world: &World, config: &Config, board: &Board, ask: &Ask) -> Receipt {
    let means = Means {
        config,
        board,
        out: world,
        ledger: None,
        dice: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let ended = runtime.block_on(run(ask, &means, None, Guest));
    ended.map_err(|(_, refusal)| refusal).expect("a receipt")
}
