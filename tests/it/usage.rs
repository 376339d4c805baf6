//! `standin usage` over a ledger that was written before.

use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use standin::config;
use standin::ledger::{Discarded, Ended, Entry, Ledger, Record};
use standin::usage::{Tokens, Usd};
use tokio::process::Command;

use crate::house::{Folder, soon};

const CONFIG: &str =
    "providers: { p: { base_url: \"http://127.0.0.1:1/v1\" } }\nledger: { path: usage.db }\n";

fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the wall clock")]
    SystemTime::now()
}

fn open(folder: &Folder) -> Ledger {
    let config = config::Ledger {
        path: folder.file("usage.db"),
        on_error: config::OnError::Serve,
        retention: None,
    };
    Ledger::open(&config, now).unwrap()
}

fn record(
    age: Duration,
    key: Option<&'static str>,
    model: &'static str,
    cost: &str,
) -> Entry<'static> {
    Entry::Usage(Record {
        time: now().checked_sub(age).unwrap(),
        request_id: "r".into(),
        key: key.map(Into::into),
        tags: "{}".into(),
        requested: vec![model.into()],
        model: model.into(),
        provider: "p".into(),
        upstream_model: "m".into(),
        reported_model: None,
        upstream_request_id: None,
        endpoint: "/v1/chat/completions".into(),
        tokens: Tokens {
            input: 1000,
            cached: 100,
            output: 50,
            reasoning: 5,
            ..Tokens::default()
        },
        estimated: false,
        service_tier: None,
        cost: cost.parse::<Usd>().ok(),
        prices: None,
        trail: "[]".into(),
        first_token: None,
        duration: None,
        streamed: false,
        ended: Ended::Answered,
    })
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// Five days' worth: two models, one of them without a price.
fn fill(ledger: &Ledger) {
    for entry in [
        record(minutes(5), Some("team"), "p/a", "0.000000000001"),
        record(minutes(90), None, "p/a", "0.1"),
        record(minutes(90), None, "p/b", "unknown"),
        record(minutes(40 * 60), Some("team"), "p/b", "unknown"),
        record(minutes(100 * 60), Some("team"), "p/a", "7"),
    ] {
        ledger.append(&entry).unwrap();
    }
    let gone = Discarded {
        time: now().checked_sub(minutes(7)).unwrap(),
        request_id: "r".into(),
        key: Some("team".into()),
        model: "p/a".into(),
        provider: "p".into(),
        upstream_model: "m\u{1b}[2J".into(),
        outcome: "timeout".into(),
        status: None,
        tokens: None,
        upstream_request_id: Some("req_7".into()),
    };
    ledger.append(&Entry::Discarded(gone)).unwrap();
}

async fn usage(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command
        .args(["usage", "-c", "standin.yaml"])
        .args(arguments)
        .current_dir(folder.file("."))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    soon("the command's end", command.output()).await.unwrap()
}

async fn told(folder: &Folder, arguments: &[&str]) -> String {
    let out = usage(folder, arguments).await;
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

async fn json_of(folder: &Folder, arguments: &[&str]) -> Value {
    let text = told(folder, &[arguments, &["--json"]].concat()).await;
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let since = json["since"].take();
    let since = chrono::DateTime::parse_from_rfc3339(since.as_str().unwrap());
    assert!(SystemTime::from(since.unwrap()) < now());
    json
}

fn sums(requests: u64, cost: Value, unpriced: u64) -> Value {
    json!({
        "requests": requests, "input_tokens": requests * 1000, "cached_tokens": requests * 100,
        "output_tokens": requests * 50, "reasoning_tokens": requests * 5,
        "cost_usd": cost, "unpriced_requests": unpriced,
    })
}

fn row(by: &str, name: Value, sums: Value) -> Value {
    let mut row = json!({ by: name });
    let (Value::Object(row_map), Value::Object(sums)) = (&mut row, sums) else {
        panic!("both are objects");
    };
    row_map.extend(sums);
    row
}

#[tokio::test]
async fn usage_adds_up_while_the_ledger_is_written() {
    let folder = Folder::new();
    folder.write("standin.yaml", CONFIG);
    let ledger = open(&folder);
    fill(&ledger);
    // Once from wherever they are, and once from the database.
    for _ in 0..2 {
        let day = json_of(&folder, &[]).await;
        let wanted = json!({
            "since": null,
            "rows": [
                row("model", json!("p/a"), sums(2, json!("0.100000000001"), 0)),
                row("model", json!("p/b"), sums(1, json!(null), 1)),
            ],
            "total": sums(3, json!("0.100000000001"), 1),
        });
        assert_eq!(day, wanted);
        let by_key = json_of(&folder, &["--by", "key", "--since", "1h"]).await;
        let one = sums(1, json!("0.000000000001"), 0);
        assert_eq!(by_key["rows"], json!([row("key", json!("team"), one)]));
        let by_key = json_of(&folder, &["--by", "key", "--since", "30d"]).await;
        let wanted = json!([
            row("key", json!(null), sums(2, json!("0.10"), 1)),
            row("key", json!("team"), sums(3, json!("7.000000000001"), 1)),
        ]);
        assert_eq!(by_key["rows"], wanted);
        assert_eq!(by_key["total"], sums(5, json!("7.100000000001"), 2));
        let by_provider = json_of(&folder, &["--by", "provider", "--since", "30d"]).await;
        assert_eq!(by_provider["rows"].as_array().unwrap().len(), 1);
        let by_day = json_of(&folder, &["--by", "day", "--since", "30d"]).await;
        let days = by_day["rows"].as_array().unwrap();
        assert!(days.len() >= 3, "{days:?}");
        assert!(
            days.iter()
                .all(|day| day["day"].as_str().unwrap().len() == 10)
        );
        assert_eq!(by_day["total"], by_key["total"]);
        ledger.flush().unwrap();
    }
    drop(ledger);
    let none = json_of(&folder, &["--since", "1s"]).await;
    assert_eq!(none["rows"], json!([]));
    assert_eq!(none["total"], sums(0, json!("0.00"), 0));
}

#[tokio::test]
async fn people_get_a_table_and_are_told_what_is_unknown() {
    let folder = Folder::new();
    folder.write("standin.yaml", CONFIG);
    fill(&open(&folder));
    let table = told(&folder, &["--since", "30d"]).await;
    let lines: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "model  requests  input  cached  output  reasoning                  cost USD",
            "p/a           3   3000     300     150         15            7.100000000001",
            "p/b           2   2000     200     100         10                   unknown",
            "total         5   5000     500     250         25  7.100000000001 + unknown",
            "",
            "2 of 5 requests have no known price and are not in the cost",
        ],
        "{table}"
    );
}

#[tokio::test]
async fn discarded_attempts_are_listed_for_the_invoice() {
    let folder = Folder::new();
    folder.write("standin.yaml", CONFIG);
    fill(&open(&folder));
    let json = json_of(&folder, &["--reconcile"]).await;
    let [one] = &json["rows"].as_array().unwrap()[..] else {
        panic!("{json}");
    };
    assert_eq!(one["outcome"], "timeout");
    assert_eq!(one["upstream_request_id"], "req_7");
    assert_eq!(one["input_tokens"], Value::Null);
    let total = json!({ "attempts": 1, "input_tokens": 0, "output_tokens": 0 });
    assert_eq!(json["total"], total);
    let table = told(&folder, &["--reconcile"]).await;
    assert!(table.contains("1 attempts were thrown away"), "{table}");
    assert!(
        table.contains("req_7") && !table.contains('\u{1b}'),
        "{table}"
    );
    assert_eq!(
        json_of(&folder, &["--reconcile", "--since", "1m"]).await["rows"],
        json!([])
    );
}

#[tokio::test]
async fn without_a_ledger_usage_says_so() {
    let folder = Folder::new();
    folder.write("standin.yaml", CONFIG);
    let out = usage(&folder, &[]).await;
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("no ledger is there"));
    folder.write("standin.yaml", CONFIG.lines().next().unwrap());
    let out = usage(&folder, &[]).await;
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("no `ledger`"));
    for wrong in ["24", "yesterday", "1w"] {
        let out = usage(&folder, &["--since", wrong]).await;
        assert_eq!(out.status.code(), Some(2), "{wrong}");
    }
}

/// Fills the ledger's tables as the import would, with one request every
/// quarter of a second: ten million are a month.
const MONTH: &str = "
INSERT INTO usage (seq, time, request_id, key, tags, requested, model, provider, upstream_model,
  endpoint, input_tokens, cached_tokens, cache_write_tokens, input_audio_tokens, output_tokens,
  reasoning_tokens, output_audio_tokens, estimated, cost_micro, cost_pico, trail, streamed, ended)
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
SELECT n, ?1 - (?2 - n) * 250, hex(randomblob(16)), 'key-' || n % 20, '{}', '[]',
  'p/model-' || n % 10, 'p', 'model-' || n % 10, '/v1/chat/completions', n % 5000, n % 100, 0, 0,
  n % 700, n % 50, 0, 0, iif(n % 9 = 0, NULL, n % 30000), iif(n % 9 = 0, NULL, n % 1000000),
  '[{\"model\":\"p/model\",\"provider\":\"p\",\"outcome\":\"answered\",\"status\":200,\"ms\":1200}]',
  1, 'answered' FROM n;";

const HOURS: &str = "
INSERT INTO hourly SELECT time / 3600000, model, provider, key, count(*),
  sum(cost_micro IS NULL), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
  sum(reasoning_tokens), sum(ifnull(cost_micro, 0)), sum(ifnull(cost_pico, 0)),
  min(seq), max(seq)
FROM usage GROUP BY 1, 2, 3, 4;";

/// Measures, and asserts nothing of the time: `cargo test --release --test it
/// ten_million -- --ignored --nocapture`. Takes some gigabytes in the folder of
/// temporary files; `STANDIN_ROWS` may ask for fewer.
#[tokio::test]
#[ignore = "a measurement"]
async fn ten_million_rows_are_added_up() {
    use std::io::Write;
    let folder = Folder::new();
    folder.write("standin.yaml", CONFIG);
    drop(open(&folder));
    let rows = std::env::var("STANDIN_ROWS").map_or(10_000_000, |rows| rows.parse().unwrap());
    let database = rusqlite::Connection::open(folder.file("usage.db")).unwrap();
    let last = now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let last = i64::try_from(last.as_millis()).unwrap();
    database.execute(MONTH, [last, rows]).unwrap();
    database.execute_batch(HOURS).unwrap();
    let position = "UPDATE meta SET value = ?1 WHERE name = 'position'";
    database.execute(position, [rows]).unwrap();
    database
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let mut out = std::io::stdout();
    for arguments in [
        &["--since", "24h"][..],
        &["--since", "40d"],
        &["--since", "40d", "--by", "key"],
        &["--since", "40d", "--by", "day"],
    ] {
        let begin = tokio::time::Instant::now();
        let json = json_of(&folder, arguments).await;
        let requests = &json["total"]["requests"];
        let took = begin.elapsed();
        writeln!(out, "{arguments:?}: {requests} requests in {took:?}").unwrap();
        if arguments.contains(&"40d") {
            assert_eq!(requests.as_i64(), Some(rows));
        }
    }
}
