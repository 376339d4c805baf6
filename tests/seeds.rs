//! The committed seeds of the fuzz targets, each through its target: also where
//! no fuzzer can be built.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use standin::fuzzing::{
    answers, config, http1_answer, http1_request, import, journal, json_splice, reset, rewrite,
    sse_chunks,
};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 10] = [
    ("answers", answers),
    ("config", config),
    ("http1_answer", http1_answer),
    ("http1_request", http1_request),
    ("import", import),
    ("journal", journal),
    ("json_splice", json_splice),
    ("reset", reset),
    ("rewrite", rewrite),
    ("sse_chunks", sse_chunks),
];

#[test]
fn no_seed_fails_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut all = 0;
    for (name, target) in TARGETS {
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists());
        for seed in fs::read_dir(root.join("seeds").join(name)).unwrap() {
            let path = seed.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let tried = catch_unwind(|| target(&bytes));
            assert!(tried.is_ok(), "{}", path.display());
            all += 1;
        }
    }
    assert!(all >= 100, "{all}");
    let targets = fs::read_dir(root.join("fuzz_targets")).unwrap().count();
    assert_eq!(targets, TARGETS.len(), "each has its seeds");
}
