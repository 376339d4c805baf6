//! Spliced bodies against a tree that was edited the same way.

use serde_json::Value;

use super::super::json::grow::Seed;
use super::*;

fn joined(body: &Body) -> String {
    let bytes = body.parts().concat();
    assert_eq!(bytes.len(), body.len());
    assert!(body.parts().iter().all(|part| !part.is_empty()));
    String::from_utf8(bytes).unwrap()
}

fn edits(drop: &[&str], rename: &[(&str, &str)], set: &[(&str, &str)]) -> Edits {
    Edits {
        drop: drop.iter().map(|name| (*name).into()).collect(),
        rename: rename
            .iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect(),
        set: set
            .iter()
            .map(|(name, value)| ((*name).into(), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
    }
}

fn with(body: &str, model: &str, edits: &Edits, ask_usage: bool) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let peek = Peek::read(&bytes).unwrap();
    joined(&splice(
        &bytes,
        &peek,
        &Splice {
            model,
            edits,
            ask_usage,
        },
    ))
}

fn model(body: &str) -> String {
    with(body, "up", &Edits::default(), false)
}

fn usage(body: &str) -> String {
    with(body, "up", &Edits::default(), true)
}

fn edited(body: &str, edits: &Edits) -> String {
    with(body, "up", edits, false)
}

#[test]
fn the_model_gets_the_targets_name() {
    assert_eq!(model(r#"{"model":"a"}"#), r#"{"model":"up"}"#);
    assert_eq!(
        model(r#" {"x":[1] , "model" : "a\n" } "#),
        r#" {"x":[1] , "model" : "up" } "#
    );
    assert_eq!(model(r#"{"mod\u0065l":"a"}"#), r#"{"mod\u0065l":"up"}"#);
    assert_eq!(
        with(r#"{"model":"a"}"#, "a\"b\\\n", &Edits::default(), false),
        r#"{"model":"a\"b\\\n"}"#
    );
}

#[test]
fn the_list_of_models_goes_with_its_comma() {
    for (came, goes) in [
        (r#"{"model":"a","models":["b"]}"#, r#"{"model":"up"}"#),
        (r#"{"models":["b"],"model":"a"}"#, r#"{"model":"up"}"#),
        (
            r#"{ "models" : ["b"] , "model":"a" }"#,
            r#"{ "model":"up" }"#,
        ),
        (
            r#"{"model":"a" , "models":null , "x":1}"#,
            r#"{"model":"up" , "x":1}"#,
        ),
        (
            "{\n  \"x\": 1,\n  \"models\": [],\n  \"model\": \"a\"\n}",
            "{\n  \"x\": 1,\n  \"model\": \"up\"\n}",
        ),
        (
            r#"{"x":{"models":["b"]},"models":["b"],"model":null}"#,
            r#"{"x":{"models":["b"]},"model":"up"}"#,
        ),
    ] {
        assert_eq!(model(came), goes);
    }
}

#[test]
fn the_model_takes_the_place_of_a_list_alone() {
    assert_eq!(model(r#"{"models":["b","c"]}"#), r#"{"model":"up"}"#);
    assert_eq!(
        model(r#"{"x":1, "models" : ["b"] ,"y":2}"#),
        r#"{"x":1, "model" : "up" ,"y":2}"#
    );
}

#[test]
fn usage_is_asked_for_where_it_was_not() {
    for (came, goes) in [
        (
            r#"{"model":"up"}"#,
            r#"{"model":"up","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options": null ,"model":"up"}"#,
            r#"{"stream_options": {"include_usage":true} ,"model":"up"}"#,
        ),
        (
            r#"{"model":"up","stream_options":{}}"#,
            r#"{"model":"up","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"up","stream_options":{ }}"#,
            r#"{"model":"up","stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"model":"up","stream_options":{ "x":1}}"#,
            r#"{"model":"up","stream_options":{"include_usage":true, "x":1}}"#,
        ),
        (
            r#"{"model":"up","stream_options":{"x":1, "include_usage": false}}"#,
            r#"{"model":"up","stream_options":{"x":1, "include_usage": true}}"#,
        ),
        (
            r#"{"model":"up","stream_options":{"include_usage":null,"x":1}}"#,
            r#"{"model":"up","stream_options":{"include_usage":true,"x":1}}"#,
        ),
    ] {
        assert_eq!(usage(came), goes);
        assert_eq!(usage(&usage(came)), goes);
    }
}

#[test]
fn edits_of_the_stream_options_have_their_way() {
    let body = r#"{"model":"up","stream_options":{"x":1}}"#;
    let dropped = edits(&["stream_options"], &[], &[]);
    assert_eq!(with(body, "up", &dropped, true), r#"{"model":"up"}"#);
    let set = edits(&[], &[], &[("stream_options", "null")]);
    assert_eq!(
        with(body, "up", &set, true),
        r#"{"model":"up","stream_options":null}"#
    );
}

#[test]
fn members_are_dropped_renamed_and_set_in_this_order() {
    let body = r#"{"seed":1, "model":"up", "max_tokens" : 5, "n":2}"#;
    for (edits, goes) in [
        (
            edits(&["seed"], &[], &[]),
            r#"{"model":"up", "max_tokens" : 5, "n":2}"#,
        ),
        (
            edits(&["n"], &[], &[]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5}"#,
        ),
        (
            edits(&["seed", "n", "absent"], &[], &[]),
            r#"{"model":"up", "max_tokens" : 5}"#,
        ),
        (
            edits(&[], &[("max_tokens", "most")], &[]),
            r#"{"seed":1, "model":"up", "most" : 5, "n":2}"#,
        ),
        (
            edits(&[], &[("max_tokens", "n")], &[]),
            r#"{"seed":1, "model":"up", "n":2}"#,
        ),
        (
            edits(&["n"], &[("max_tokens", "n")], &[]),
            r#"{"seed":1, "model":"up", "n" : 5}"#,
        ),
        (
            edits(&[], &[("n", "a"), ("a", "b")], &[]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5, "b":2}"#,
        ),
        (
            edits(&[], &[], &[("n", "[3]")]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5, "n":[3]}"#,
        ),
        (
            edits(&[], &[], &[("s", "0"), ("s", "1")]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5, "n":2,"s":1}"#,
        ),
        (
            edits(&["n"], &[], &[("n", "3")]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5,"n":3}"#,
        ),
        (
            edits(&[], &[("n", "k")], &[("k", "3")]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5, "k":3}"#,
        ),
        (
            edits(&[], &[("n", "k")], &[("n", "3")]),
            r#"{"seed":1, "model":"up", "max_tokens" : 5, "k":2,"n":3}"#,
        ),
    ] {
        assert_eq!(edited(body, &edits), goes, "{edits:?}");
    }
    let escaped = r#"{"s\u0065ed":1,"model":"up","seed":2}"#;
    assert_eq!(
        edited(escaped, &edits(&["seed"], &[], &[])),
        r#"{"model":"up"}"#
    );
}

#[test]
fn the_members_that_lead_the_way_are_never_edited() {
    let body = r#"{"model":"up","stream":true,"x":1}"#;
    let all = edits(
        &["model", "stream", "models"],
        &[
            ("model", "y"),
            ("x", "model"),
            ("stream", "z"),
            ("x", "models"),
        ],
        &[("model", "0"), ("stream", "0"), ("models", "[]")],
    );
    assert_eq!(edited(body, &all), body);
}

#[test]
fn what_needs_no_change_is_one_slice_of_what_came() {
    let bytes = Bytes::from_static(br#"{"model":"up","x":[1,2]}"#);
    let peek = Peek::read(&bytes).unwrap();
    let edits = edits(&["y"], &[("z", "x")], &[("x", "[1,2]")]);
    let body = splice(
        &bytes,
        &peek,
        &Splice {
            model: "up",
            edits: &edits,
            ask_usage: false,
        },
    );
    assert_eq!(body.parts().len(), 1);
    assert_eq!(body.parts()[0].as_ptr(), bytes.as_ptr());
    assert_eq!(body.len(), bytes.len());
}

#[test]
fn what_stays_is_not_copied() {
    let text = "x".repeat(1 << 20);
    let bytes = Bytes::from(format!(
        r#"{{"a":"{text}","model":"m","b":"{text}","models":["q"]}}"#
    ));
    let peek = Peek::read(&bytes).unwrap();
    let wish = Splice {
        model: "up",
        edits: &Edits::default(),
        ask_usage: true,
    };
    let body = splice(&bytes, &peek, &wish);
    let range = bytes.as_ptr_range();
    let copied: usize = body
        .parts()
        .iter()
        .filter(|part| !range.contains(&part.as_ptr()))
        .map(Bytes::len)
        .sum();
    assert!(copied < 100, "{copied}");
    assert!(body.parts().len() < 8);
}

/// The same on a tree, in the simplest way: a list of members, one after the
/// other changed.
fn reference(body: &[u8], wish: &Splice<'_>) -> Vec<(String, Value)> {
    let raw = |at: Range<usize>| serde_json::from_slice::<Value>(&body[at]).unwrap();
    let mut list: Vec<(String, Value)> = json::members(body)
        .map(|m| (m.key.decode().into_owned(), raw(m.value_at)))
        .collect();
    let has = |list: &[(String, Value)], name: &str| list.iter().any(|(key, _)| key == name);
    if has(&list, "model") {
        list.retain(|(key, _)| key != "models");
    }
    for (key, value) in &mut list {
        if key == "models" {
            *key = "model".into();
        }
        if key == "model" {
            *value = wish.model.into();
        }
    }
    list.retain(|(key, _)| !is_free(key) || !wish.edits.drop.iter().any(|d| **d == **key));
    for (old, new) in wish
        .edits
        .rename
        .iter()
        .filter(|(a, b)| is_free(a) && is_free(b) && a != b)
    {
        if has(&list, new) {
            list.retain(|(key, _)| **key != **old);
        }
        for (key, _) in list.iter_mut().filter(|(key, _)| **key == **old) {
            *key = new.to_string();
        }
    }
    for (name, value) in wish.edits.set.iter().filter(|(name, _)| is_free(name)) {
        let value: Value = serde_json::from_slice(value).unwrap();
        if !has(&list, name) {
            list.push((name.to_string(), Value::Null));
        }
        for (_, old) in list.iter_mut().filter(|(key, _)| **key == **name) {
            *old = value.clone();
        }
    }
    if wish.ask_usage && !wish.edits.names().any(|name| name == OPTIONS) {
        if !has(&list, OPTIONS) {
            list.push((OPTIONS.into(), Value::Null));
        }
        for (_, value) in list.iter_mut().filter(|(key, _)| key == OPTIONS) {
            if value.is_null() {
                *value = serde_json::json!({});
            }
            value["include_usage"] = true.into();
        }
    }
    list
}

fn random_edits(seed: &mut Seed) -> Edits {
    const NAMES: [&str; 9] = [
        "seed",
        "n",
        "max",
        "top",
        "é",
        "stream_options",
        "model",
        "new",
        "stream",
    ];
    let mut edits = Edits::default();
    for _ in 0..seed.below(3) {
        edits.drop.push(seed.pick(&NAMES).into());
    }
    for _ in 0..seed.below(4) {
        edits
            .rename
            .push((seed.pick(&NAMES).into(), seed.pick(&NAMES).into()));
    }
    for _ in 0..seed.below(3) {
        let value = seed.pick(&["1", "null", "{\"model\":[]}", "\"é\""]);
        edits.set.push((
            seed.pick(&NAMES).into(),
            Bytes::from_static(value.as_bytes()),
        ));
    }
    edits
}

fn random_body(seed: &mut Seed) -> String {
    let mut members = Vec::new();
    let lead = seed.below(3);
    if lead != 0 {
        members.push(("\"mod\\u0065l\"", "\"a\\\"b\"".to_owned()));
    } else if seed.one_in(3) {
        members.push(("\"model\"", "null".to_owned()));
    }
    if lead != 1 {
        members.push(("\"models\"", "[ \"a\" ,\"\\ud83e\\udd80\"]".to_owned()));
    }
    if seed.one_in(2) {
        members.push((
            "\"stream\"",
            seed.pick(&["true", "false", "null"]).to_owned(),
        ));
    }
    if seed.one_in(2) {
        let options = [
            "null",
            "{}",
            "{ }",
            "{\"include_usage\" : false }",
            "{\"a\":[],\"include_us\\u0061ge\":null}",
            "{\"include_usage\":true}",
            "{\t\"b\":{\"include_usage\":0}}",
        ];
        members.push(("\"stream_options\"", seed.pick(&options).to_owned()));
    }
    let most = if seed.one_in(20) { 60 } else { 6 };
    for _ in 0..seed.below(most) {
        let key = seed.pick(&[
            "\"seed\"",
            "\"s\\u0065ed\"",
            "\"n\"",
            "\"max\"",
            "\"top\"",
            "\"é\"",
            "\"\\u00e9\"",
            "\"\"",
            "\"messages\"",
        ]);
        let mut value = String::new();
        seed.value(&mut value, 3);
        members.push((key, value));
    }
    for place in (1..members.len()).rev() {
        members.swap(place, seed.below(place + 1));
    }
    let mut body = String::new();
    seed.blank(&mut body);
    body.push('{');
    for (place, (key, value)) in members.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        seed.blank(&mut body);
        body.push_str(key);
        seed.blank(&mut body);
        body.push(':');
        seed.blank(&mut body);
        body.push_str(value);
        seed.blank(&mut body);
    }
    body.push('}');
    seed.blank(&mut body);
    body
}

#[test]
fn any_body_with_any_edits_is_what_a_tree_would_be() {
    let mut seed = Seed(11);
    for round in 0..20_000 {
        let came = random_body(&mut seed);
        let edits = if seed.one_in(3) {
            Edits::default()
        } else {
            random_edits(&mut seed)
        };
        let wish = Splice {
            model: seed.pick(&["up", "a\"b", "é\n", "vendor/x"]),
            edits: &edits,
            ask_usage: seed.one_in(2),
        };
        let bytes = Bytes::from(came.clone());
        let peek = Peek::read(&bytes).unwrap();
        let goes = joined(&splice(&bytes, &peek, &wish));
        assert!(
            serde_json::from_str::<Value>(&goes).is_ok(),
            "round {round}: {came}\n{goes}"
        );
        let found: Vec<(String, Value)> = json::members(goes.as_bytes())
            .map(|m| {
                (
                    m.key.decode().into_owned(),
                    serde_json::from_str(&goes[m.value_at]).unwrap(),
                )
            })
            .collect();
        // What is added comes last, though not always in the same order.
        let sorted = |mut list: Vec<(String, Value)>| {
            list.sort_by(|a, b| a.0.cmp(&b.0));
            list
        };
        assert_eq!(
            sorted(found),
            sorted(reference(&bytes, &wish)),
            "round {round}: {came}\n{goes}\n{wish:?}"
        );
    }
}
