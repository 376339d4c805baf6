//! Reading back: totals against a recomputation, pages for collectors.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::*;

/// A record of about any kind.
fn made_up(dice: &mut Dice) -> Record<'static> {
    let mut it = record("x");
    let millis = dice.roll(5 * 86_400_000);
    it.time = at(START) + Duration::from_millis(millis);
    it.key = match dice.roll(3) {
        0 => None,
        n => Some(format!("key-{n}").into()),
    };
    it.model = format!("model-{}", dice.roll(4)).into();
    it.provider = format!("provider-{}", dice.roll(2)).into();
    it.tokens.input = dice.roll(100_000);
    it.tokens.output = dice.roll(5000);
    it.cost = match dice.roll(5) {
        0 => None,
        1 => Some(Usd::ZERO),
        _ => Some(Usd::from_pico(u128::from(dice.roll(1 << 31)) * 7_919)),
    };
    it
}

fn recomputed(records: &[Record<'_>], since: SystemTime, by: By) -> Totals {
    let mut totals = Totals::new();
    for it in records.iter().filter(|it| it.time >= since) {
        let day = chrono::DateTime::<chrono::Utc>::from(it.time);
        let group = match by {
            By::Day => Some(day.format("%Y-%m-%d").to_string()),
            By::Key => it.key.as_deref().map(str::to_owned),
            By::Model => Some(it.model.to_string()),
            By::Provider => Some(it.provider.to_string()),
        };
        let sums = totals.entry(group).or_default();
        sums.requests += 1;
        sums.input += it.tokens.input;
        sums.cached += it.tokens.cached;
        sums.output += it.tokens.output;
        sums.reasoning += it.tokens.reasoning;
        match it.cost {
            Some(cost) => sums.cost += cost,
            None => sums.unpriced += 1,
        }
    }
    totals
}

#[test]
fn totals_are_what_the_records_add_up_to() {
    let place = Place::new();
    let ledger = place.open();
    let mut dice = Dice(0x1CE);
    let records: Vec<_> = (0..3000).map(|_| made_up(&mut dice)).collect();
    let append = |part: &[Record<'static>]| {
        for it in part {
            ledger.append(&Entry::Usage(it.clone())).unwrap();
        }
    };
    append(&records[..2000]);
    ledger.flush().unwrap();
    // The last third stays in the journal.
    let other = Connection::open(&place.config.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    append(&records[2000..]);
    let reader = place.reader();
    let check = |since: SystemTime| {
        for by in [By::Day, By::Key, By::Model, By::Provider] {
            let wanted = recomputed(&records, since, by);
            assert_eq!(reader.totals(since, by).unwrap(), wanted, "{by:?}");
        }
        for key in ["key-1", "key-2", "nobody"] {
            let of_key = records.iter().filter(|it| it.key.as_deref() == Some(key));
            let wanted: Usd = of_key
                .filter(|it| it.time >= since)
                .filter_map(|it| it.cost)
                .sum();
            assert_eq!(reader.spent_since(key, since).unwrap(), wanted);
        }
    };
    let moments: Vec<SystemTime> = (0..20)
        .map(|_| at(START) + Duration::from_millis(dice.roll(6 * 86_400_000)))
        .chain([at(0), at(START / 3600 * 3600 + 7200), records[5].time])
        .collect();
    moments.iter().copied().for_each(check);
    assert!(ledger.state().imported < 3000);
    other.execute_batch("ROLLBACK").unwrap();
    ledger.flush().unwrap();
    moments.iter().copied().for_each(check);
    assert_eq!(ledger.state().imported, 3000);

    // And SQL's own sums over the two columns are the same.
    let sql = "SELECT sum(cost_micro), sum(cost_pico) FROM usage";
    let sums = other.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (micro, pico): (i64, i64) = sums.unwrap();
    let whole: Usd = records.iter().filter_map(|it| it.cost).sum();
    assert_eq!(
        whole.pico(),
        micro.unsigned_abs() as u128 * 1_000_000 + pico.unsigned_abs() as u128
    );
}

#[test]
fn absurd_numbers_do_not_spoil_the_sums_of_others() {
    let place = Place::new();
    let ledger = place.open();
    for _ in 0..100 {
        let mut absurd = record("x");
        absurd.tokens.input = u64::MAX;
        absurd.cost = Some(Usd::from_pico(u128::MAX));
        ledger.append(&Entry::Usage(absurd)).unwrap();
    }
    let before = place.reader().totals(at(0), By::Model).unwrap();
    ledger.flush().unwrap();
    let after = place.reader().totals(at(0), By::Model).unwrap();
    assert_eq!(before, after);
    assert_eq!(after[&Some("openai/gpt-4o".to_owned())].requests, 100);
}

#[test]
fn a_collector_gets_every_row_once_with_all_its_columns() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append(&usage("one")).unwrap();
    ledger
        .append(&Entry::Discarded(thrown_away("two")))
        .unwrap();
    ledger.flush().unwrap();
    let other = Connection::open(&place.config.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut unpriced = record("three");
    unpriced.cost = None;
    unpriced.prices = None;
    unpriced.trail = "[1,\n2]".into();
    ledger.append(&Entry::Usage(unpriced)).unwrap();

    let reader = place.reader();
    let page = reader.after(0, 10).unwrap();
    assert!(page.rows.iter().all(|row| !row.contains('\n')));
    let rows: Vec<Value> = page
        .rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert_eq!((rows.len(), page.last), (2, 3));
    let instance = rows[0]["instance"].as_str().unwrap();
    assert_eq!(instance.len(), 32);
    let wanted = json!({
        "instance": instance, "seq": 1, "time": START * 1000, "request_id": "one",
        "key": "team", "tags": {"cost-centre": "7"},
        "requested": ["openai/gpt-4o", "a \"quoted\"\nname"],
        "model": "openai/gpt-4o", "provider": "openai", "upstream_model": "gpt-4o",
        "reported_model": "gpt-4o-2024-08-06", "upstream_request_id": "req_1",
        "endpoint": "/v1/chat/completions",
        "input_tokens": 1000, "cached_tokens": 100, "cache_write_tokens": 1,
        "input_audio_tokens": 2, "output_tokens": 50, "reasoning_tokens": 20,
        "output_audio_tokens": 3, "estimated": false, "service_tier": "default",
        "cost_usd": "3.000001000007", "prices": {"input": "2.50"},
        "trail": [{"model": "openai/gpt-4o", "status": 200}],
        "first_token_ms": 210, "duration_ms": 1900, "streamed": true, "ended": "answered",
    });
    assert_eq!(rows[0], wanted);
    assert_eq!(rows[1]["cost_usd"], Value::Null);
    assert_eq!(rows[1]["prices"], Value::Null);
    // A table's column says the same.
    let sql = "SELECT cost_usd FROM usage WHERE seq = 1";
    let text: String = other.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(text, "3.000001000007");

    // One at a time, over the seam between database and journal.
    let first = reader.after(0, 1).unwrap();
    let second = reader.after(first.last, 1).unwrap();
    assert_eq!([first.rows, second.rows].concat(), page.rows);
    let none = reader.after(second.last, 1).unwrap();
    assert_eq!((none.rows.len(), none.last), (0, 3));

    let gone = reader.discarded(at(START)).unwrap();
    assert_eq!(gone, [thrown_away("two")]);
    assert!(reader.discarded(at(START + 1)).unwrap().is_empty());
}

#[test]
fn what_is_not_there_is_told() {
    let place = Place::new();
    let why = Reader::open(&place.config.path).unwrap_err();
    assert!(why.contains("no ledger is there"), "{why}");
    assert!(!place.config.path.exists(), "reading makes nothing");
}
