//! Any bytes as a request's body: judged as `serde_json` judges them, and
//! spliced into what `serde_json` reads as the same but for the edits.

use std::collections::HashMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::wire::Edits;
use crate::wire::json::{self, Fault, Kind};
use crate::wire::{Peek, PeekError};
use crate::wire::{Splice, splice};

/// The name that the splice gives the model: escapes and all.
const MODEL: &str = "up/\"stream\"\\é";

/// Panics where the scanner, the peek or the splicer and `serde_json` differ
/// about `data`.
pub fn json_splice(data: &[u8]) {
    let judged = json::value(data);
    let too_deep = judged.is_err_and(|syntax| syntax.fault == Fault::TooDeep);
    if !too_deep {
        let text = std::str::from_utf8(data).is_ok();
        let valid = text && serde_json::from_slice::<IgnoredAny>(data).is_ok();
        assert_eq!(judged.is_ok(), valid, "the judgement differs: {judged:?}");
    }
    let mut members = Vec::new();
    let object = json::object(data, |member| {
        members.push((member.key_at.clone(), member.value_at.clone()));
    });
    assert_eq!(object.is_ok(), judged == Ok(Kind::Object));
    let walked: Vec<_> = json::members(data)
        .map(|member| (member.key_at, member.value_at))
        .collect();
    if object.is_ok() {
        assert_eq!(members, walked, "the walk differs from the check");
    }
    json::elements(data).for_each(drop);

    let body = Bytes::copy_from_slice(data);
    match Peek::read(&body) {
        Err(PeekError::Syntax(syntax)) => assert_eq!(object, Err(syntax)),
        Err(_) => assert!(object.is_ok()),
        Ok(peek) => {
            assert!(peek.names(&body).next().is_some(), "no name was found");
            check_splice(&body, &peek);
        }
    }
}

/// Splices in two ways; the plain one must change nothing but what it may.
fn check_splice(body: &Bytes, peek: &Peek) {
    let edits = Edits {
        drop: vec!["seed".into(), "model".into()],
        rename: vec![("max_tokens".into(), "n".into()), ("n".into(), "é".into())],
        set: vec![("store".into(), Bytes::from_static(b"false"))],
    };
    let spliced = |edits: &Edits| {
        let wish = Splice {
            model: MODEL,
            edits,
            ask_usage: true,
        };
        let made = splice(body, peek, &wish);
        let bytes = made.parts().concat();
        assert_eq!(bytes.len(), made.len());
        assert_eq!(json::value(&bytes), Ok(Kind::Object), "no object is left");
        bytes
    };
    let edited = spliced(&edits);
    let plain = spliced(&Edits::default());
    let again = Bytes::from(plain.clone());
    let seen = Peek::read(&again);
    assert!(seen.is_ok_and(|peek| peek.asks_usage() && !peek.brought_models()));

    // Only serde_json's own limits (depth, the range of numbers, halves of
    // surrogate pairs) can keep it from making a tree of what came.
    let tree = |bytes: &[u8]| serde_json::from_slice::<HashMap<String, Value>>(bytes).ok();
    let (Some(mut came), Some(plain), Some(edited)) = (tree(body), tree(&plain), tree(&edited))
    else {
        return;
    };
    assert!(!edited.contains_key("seed") && !edited.contains_key("max_tokens"));
    assert_eq!(edited.get("store"), Some(&Value::Bool(false)));
    assert_eq!(edited.get("model"), Some(&Value::from(MODEL)));
    came.remove("models");
    came.insert("model".into(), MODEL.into());
    let options = came.entry("stream_options".into()).or_default();
    if options.is_null() {
        *options = Value::Object(serde_json::Map::new());
    }
    if let Some(options) = options.as_object_mut() {
        options.insert("include_usage".into(), true.into());
    }
    assert_eq!(came, plain, "more was changed than asked for");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_all_kinds_hold() {
        for body in [
            r#"{"model":"a","seed":1,"n":2,"max_tokens":3,"stream_options":{"x":1}}"#,
            r#"{"max_tokens":3,"models":["a","b"],"x":"\ud800","seed":{"seed":1}}"#,
            r#" {"model":"a","x":1e999,"store":true,"\ud800":0} "#,
            r#"{"model":"a","n":1,"n":2,"seed":[],"s\u0065ed":[]}"#,
            r#"{"model":1}"#,
            "[1,2",
            "\u{feff}{}",
        ] {
            json_splice(body.as_bytes());
            for cut in 0..body.len() {
                json_splice(&body.as_bytes()[..cut]);
            }
        }
        json_splice(&[b'['; 100_000]);
        json_splice("[".repeat(600).as_bytes());
        json_splice(b"\"\xff\"");
    }
}
