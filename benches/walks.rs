//! What remembering one request costs: its place among the latest walks, its
//! targets' tallies, and the second it ended in. The receipt is freed here
//! that would be freed anyway.

mod walk;
mod world;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderValue;
use standin::config::Config;
use standin::health::{Board, Moment};
use standin::journey::Receipt;
use standin::walks::{Walk, Walks};
use tokio::time::Instant;

use world::World;

const ANSWER: &str = "data: {\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: [DONE]\n\n";

fn receipt(config: &Config, board: &Board, models: &[&str]) -> Receipt {
    let body = serde_json::json!({"models": models, "messages": [], "stream": true});
    let ask = world::ask(config, body.to_string());
    let world = World::new("text/event-stream", vec![ANSWER.into()]);
    walk::receipt(&world, config, board, &ask)
}

fn walks(c: &mut Criterion) {
    let text = "providers:\n  p: { base_url: \"http://127.0.0.1:1\" }\n  \
                bad: { base_url: \"http://127.0.0.1:2\" }\n\
                models: { a: { provider: p, upstream_model: m }, b: { provider: bad, upstream_model: m } }\n";
    let config = world::config(text);
    let walks = Walks::new(&config, None);
    let mut group = c.benchmark_group("walks");
    for (name, models) in [
        ("answered", &["a"][..]),
        ("failed over", &["b", "a"]),
        ("answered, a made-up name", &["p/made-up"]),
    ] {
        let make = || {
            let board = Board::new(&config, None, Instant::now().into_std());
            Walk {
                at: Moment::at(Duration::from_secs(1)),
                id: HeaderValue::from_static("id"),
                receipt: receipt(&config, &board, models),
            }
        };
        group.bench_function(format!("{name}: dropped"), |b| {
            b.iter_batched(make, |walk| drop(black_box(walk)), BatchSize::SmallInput);
        });
        group.bench_function(format!("{name}: remembered"), |b| {
            b.iter_batched(
                make,
                |walk| walks.remember(black_box(walk)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, walks);
criterion_main!(benches);
