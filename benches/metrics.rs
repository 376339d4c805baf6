//! What counting one request costs: one receipt into the metrics.

mod walk;
mod world;

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use standin::config::Config;
use standin::health::Board;
use standin::journey::Receipt;
use standin::metrics::{Counts, Inside, scrape};
use tokio::time::Instant;

use world::World;

const ANSWER: &str = "data: {\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":200}}\n\ndata: [DONE]\n\n";

fn config(models: usize) -> Config {
    let mut text = "providers:\n  p: { base_url: \"http://127.0.0.1:1\" }\n  \
                    bad: { base_url: \"http://127.0.0.1:2\" }\nmodels:\n"
        .to_owned();
    for number in 0..models {
        text.push_str(&format!(
            "  house/model-{number}: {{ provider: p, upstream_model: m{number}, price: {{ input: 2, output: 4 }} }}\n  \
             bad/model-{number}: {{ provider: bad, upstream_model: m{number} }}\n"
        ));
    }
    world::config(&text)
}

fn receipt(config: &Config, board: &Board, models: &[&str]) -> Receipt {
    let body = serde_json::json!({"models": models, "messages": [], "stream": true});
    let ask = world::ask(config, body.to_string());
    let world = World::new("text/event-stream", vec![ANSWER.into()]);
    walk::receipt(&world, config, board, &ask)
}

fn count(c: &mut Criterion) {
    for models in [10, 1000] {
        let config = config(models);
        let board = Board::new(&config, None, Instant::now().into_std());
        let counts = Counts::new(&config, None);
        let mut group = c.benchmark_group(format!("metrics/{models} models"));
        for (name, models) in [
            ("answered", &["house/model-7"][..]),
            ("made up", &["p/made-up"]),
            ("failed over", &["bad/model-7", "house/model-7"]),
        ] {
            let receipt = receipt(&config, &board, models);
            assert!(receipt.answered.is_some() && receipt.charged.is_some());
            group.bench_function(name, |b| b.iter(|| black_box(&receipt).count(&counts)));
        }
        let shared = receipt(&config, &board, &["house/model-7"]);
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Relaxed) {
                    shared.count(&counts);
                }
            });
            group.bench_function("answered, another thread at the same", |b| {
                b.iter(|| black_box(&shared).count(&counts));
            });
            ends.store(true, Relaxed);
        });
        group.bench_function("scrape", |b| {
            let now = board.moment(Instant::now().into_std());
            b.iter(|| scrape(&counts, (&config, &board), Inside::default(), None, now).len());
        });
        group.finish();
    }
}

criterion_group!(benches, count);
criterion_main!(benches);
