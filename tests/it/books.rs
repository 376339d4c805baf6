//! A ledger of a test's own, read back as its rows.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use standin::ledger::Reader;

use crate::house::{Folder, House};
use crate::talk::Talk;

/// The clients' keys of [`Books::keys`].
pub(crate) const KEYS: [&str; 3] = ["red", "green", "blue"];

/// A ledger that outlives the processes that write it.
pub(crate) struct Books {
    pub folder: Folder,
}

impl Books {
    pub(crate) fn new() -> Self {
        Self {
            folder: Folder::new(),
        }
    }

    /// Its line of a configuration, `on_error` as given.
    pub(crate) fn yaml(&self, on_error: &str) -> String {
        let path = self.folder.file("usage.db");
        let path = path.display();
        format!("ledger: {{ path: \"{path}\", on_error: {on_error} }}\n")
    }

    /// The lines that let clients in under [`KEYS`]; the key itself is the
    /// name after `sk-`.
    pub(crate) fn keys() -> String {
        let mut lines = "keys:\n".to_owned();
        for name in KEYS {
            let key = format!("sk-{name}");
            let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
            let mut hex = String::new();
            for byte in digest.as_ref() {
                write!(hex, "{byte:02x}").unwrap();
            }
            let tags = format!("{{ colour: {name} }}");
            writeln!(
                lines,
                "  - {{ name: {name}, sha256: {hex}, tags: {tags}, requests_per_minute: 1000000 }}"
            )
            .unwrap();
        }
        lines
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.folder.file("usage.db")).unwrap()
    }

    /// Every row, in order.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let page = self.reader().after(0, usize::MAX).unwrap();
        let rows = page.rows.iter();
        rows.map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// The only row of this request, if there is one.
    pub(crate) fn row(&self, id: &str) -> Option<Value> {
        let mut rows = self.rows();
        rows.retain(|row| row["request_id"] == id);
        assert!(rows.len() < 2, "{rows:#?}");
        rows.pop()
    }

    /// Outcome and model of each attempt of this request that was thrown away.
    pub(crate) fn discarded(&self, id: &str) -> Vec<(String, String)> {
        let all = self.reader().discarded(SystemTime::UNIX_EPOCH).unwrap();
        let its = all.into_iter().filter(|one| one.request_id == id);
        its.map(|one| (one.model.into(), one.outcome.into()))
            .collect()
    }
}

/// The rows after this number as a collector gets them.
pub(crate) async fn collect(admin: &mut Talk, after: u64, limit: usize) -> Vec<Value> {
    let answer = admin
        .get(&format!("/-/usage?after={after}&limit={limit}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<u64> = rows
        .iter()
        .map(|row| row["seq"].as_u64().unwrap())
        .collect();
    assert!(numbers.iter().all(|seq| *seq > after), "{numbers:?}");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(numbers.len() <= limit);
    rows
}

/// Ends it as an operator would, and waits until it has.
pub(crate) async fn close(mut house: House) {
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
}
