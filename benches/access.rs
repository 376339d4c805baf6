//! What a client's key costs per request: who it is, letting it in, asking
//! for a candidate, reserving, settling.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use standin::access::Access;
use standin::base::ModelName;
use standin::config::{Digest, Nothing, load};
use standin::health::Moment;
use standin::usage::{Tokens, Usd};

/// As long as a real one.
fn key(number: usize) -> String {
    format!("sk-standin-{number:064x}")
}

fn access(keys: usize) -> Access {
    let mut text = "providers: { p: { base_url: \"http://127.0.0.1:1\" } }\nkeys:\n".to_owned();
    for number in 0..keys {
        let sha256 = Digest::of(key(number).as_bytes());
        text.push_str(&format!(
            "- {{ name: k{number}, sha256: \"{sha256}\", models: [\"p/a*\", \"p/*\"], \
             requests_per_minute: 1000000, tokens_per_minute: 2000000000, budget: {{ usd: 1000000 }} }}\n"
        ));
    }
    let config = load("bench.yaml", text.as_bytes(), &Nothing).expect("a good configuration");
    Access::new(&config, None, &|_, _| Usd::ZERO, SystemTime::UNIX_EPOCH)
}

fn headers(number: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {}", key(number));
    headers.insert("authorization", value.parse().expect("a header's value"));
    headers
}

fn request(c: &mut Criterion) {
    let model = ModelName::from("p/gpt-4o");
    let cost = Usd::from_pico(1_000_000);
    let used = Tokens {
        input: 100,
        output: 50,
        ..Tokens::default()
    };
    let mut group = c.benchmark_group("access");
    for keys in [1, 100, 1000] {
        let access = access(keys);
        let known = headers(keys / 2);
        let unknown = headers(keys);
        group.bench_function(BenchmarkId::new("who", keys), |b| {
            b.iter(|| access.who(black_box(&known)).is_ok());
        });
        group.bench_function(BenchmarkId::new("who-unknown", keys), |b| {
            b.iter(|| access.who(black_box(&unknown)).is_ok());
        });
        let mut micros: u64 = 0;
        group.bench_function(BenchmarkId::new("whole", keys), |b| {
            b.iter(|| {
                // A request every 100 µs, so that a minute holds 600 000.
                micros += 100;
                let now = Moment::from_millis(micros / 1000);
                let today = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
                let who = access
                    .who(black_box(&known))
                    .expect("known")
                    .expect("keyed");
                let mut entered = Arc::clone(who).enter(1000, now).expect("room");
                assert!(entered.may(black_box(&model), true).is_none());
                entered.reserve(cost, today).expect("money");
                entered.settle(black_box(&used), Some(cost), now, today);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, request);
criterion_main!(benches);
