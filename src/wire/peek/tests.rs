//! What a body asks for, and what is wrong with it.

use super::super::json::Fault;
use super::super::json::grow::Seed;
use super::*;

fn read(body: &str) -> Result<Peek, PeekError> {
    Peek::read(body.as_bytes())
}

fn names(body: &str) -> Vec<String> {
    let peek = read(body).unwrap();
    peek.names(body.as_bytes()).map(Cow::into_owned).collect()
}

fn wrong(body: &str, member: &str) {
    match read(body) {
        Err(PeekError::WrongType { member: found, .. }) => assert_eq!(found, member, "{body}"),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn names_come_in_the_order_of_the_request() {
    assert_eq!(names(r#"{"model":"a"}"#), ["a"]);
    assert_eq!(
        names(r#"{"models":["b","c"],"model":"a"}"#),
        ["a", "b", "c"]
    );
    assert_eq!(names(r#" { "models" : [ "b" , "b" ] } "#), ["b", "b"]);
    assert_eq!(names(r#"{"model":"a","models":null}"#), ["a"]);
    assert_eq!(names(r#"{"model":null,"models":["b"]}"#), ["b"]);
    assert_eq!(names(r#"{"model":"a","models":[]}"#), ["a"]);
    assert_eq!(
        names(r#"{"mod\u0065l":"\u00e9\n","model\u0073":["\"x\""]}"#),
        ["é\n", "\"x\""]
    );
}

#[test]
fn only_the_top_level_counts() {
    let body = r#"{"messages":[{"model":"x","models":["y"],"stream":true}],"model":"a","metadata":{"model":1,"model":2}}"#;
    assert_eq!(names(body), ["a"]);
    assert!(!read(body).unwrap().stream());
}

#[test]
fn the_questions_are_answered() {
    let peek = read(r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#);
    let peek = peek.unwrap();
    assert!(peek.stream() && peek.asks_usage() && !peek.brought_models());
    let peek = read(r#"{"model":"a","models":[],"stream":null,"stream_options":null}"#).unwrap();
    assert!(!peek.stream() && !peek.asks_usage() && peek.brought_models());
    assert!(
        !read(r#"{"model":"a","models":null}"#)
            .unwrap()
            .brought_models()
    );
    for options in [
        "{}",
        r#"{"include_usage":false}"#,
        r#"{"include_usage":null}"#,
        r#"{"x":{"include_usage":true}}"#,
    ] {
        let body = format!(r#"{{"model":"a","stream":false,"stream_options":{options}}}"#);
        assert!(!read(&body).unwrap().asks_usage(), "{body}");
    }
    let escaped = r#"{"model":"a","stream_options":{"include\u005fusage":true}}"#;
    assert!(read(escaped).unwrap().asks_usage());
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    for (member, value) in [
        ("model", "\"a\""),
        ("models", "[]"),
        ("stream", "true"),
        ("stream_options", "null"),
    ] {
        let body = format!(r#"{{"model":"z","{member}":{value},"x":1,"{member}":{value}}}"#);
        assert_eq!(
            read(&body).unwrap_err(),
            PeekError::Duplicate(match member {
                "model" => "model",
                "models" => "models",
                "stream" => "stream",
                _ => "stream_options",
            })
        );
    }
    let escaped = r#"{"model":"a","m\u006fdel":"b"}"#;
    assert_eq!(read(escaped).unwrap_err(), PeekError::Duplicate("model"));
    let inner = r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#;
    assert_eq!(
        read(inner).unwrap_err(),
        PeekError::Duplicate("include_usage")
    );
}

#[test]
fn a_member_of_the_wrong_type_is_refused() {
    wrong(r#"{"model":1}"#, "model");
    wrong(r#"{"model":["a"],"models":["a"]}"#, "model");
    wrong(r#"{"models":"a"}"#, "models");
    wrong(r#"{"models":["a",null]}"#, "models");
    wrong(r#"{"models":{"a":1}}"#, "models");
    wrong(r#"{"model":"a","stream":"true"}"#, "stream");
    wrong(r#"{"model":"a","stream":1}"#, "stream");
    wrong(r#"{"model":"a","stream_options":true}"#, "stream_options");
    wrong(r#"{"model":"a","stream_options":[]}"#, "stream_options");
    wrong(
        r#"{"model":"a","stream_options":{"include_usage":1}}"#,
        "include_usage",
    );
}

#[test]
fn a_name_that_is_none_is_refused() {
    assert_eq!(
        read(r#"{"model":""}"#).unwrap_err(),
        PeekError::EmptyName("model")
    );
    assert_eq!(
        read(r#"{"models":["a",""]}"#).unwrap_err(),
        PeekError::EmptyName("models")
    );
    assert_eq!(
        read(r#"{"model":"\ud800x"}"#).unwrap_err(),
        PeekError::NotText("model")
    );
    for body in [
        "{}",
        r#"{"model":null}"#,
        r#"{"models":[]}"#,
        r#"{"models":null,"model":null}"#,
    ] {
        assert_eq!(read(body).unwrap_err(), PeekError::NoModel, "{body}");
    }
}

#[test]
fn a_fault_in_the_json_comes_first() {
    for (body, fault) in [
        (r#"{"model":1,"model":2,}"#, Fault::Unexpected),
        (r#"["model"]"#, Fault::NotAnObject),
        (r#"{"model":"a"} {}"#, Fault::Trailing),
        ("", Fault::Truncated),
    ] {
        match read(body) {
            Err(PeekError::Syntax(syntax)) => assert_eq!(syntax.fault, fault),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn errors_speak_in_sentences_and_name_the_member() {
    let error = read(r#"{"model":"a","stream":"yes"}"#).unwrap_err();
    assert_eq!(error.to_string(), "`stream` must be a boolean");
    assert_eq!(error.param(), Some("stream"));
    assert_eq!(read("[").unwrap_err().param(), None);
    assert_eq!(read("{}").unwrap_err().param(), Some("model"));
}

#[test]
fn members_are_found_beyond_the_kept_ones() {
    for count in [0, 1, KEPT - 1, KEPT, KEPT + 1, 500] {
        let mut body = String::from("{");
        for place in 0..count {
            body.push_str(&format!("\"k{place}\": [{place}] ,"));
        }
        body.push_str(r#""seed":1,"model":"a"}"#);
        let peek = read(&body).unwrap();
        assert_eq!(peek.members(body.as_bytes()).count(), count + 2);
        let last = peek.members(body.as_bytes()).last();
        assert_eq!(last, peek.model);
        let of = |names: &[&'static str]| peek.duplicate_of(body.as_bytes(), names.iter().copied());
        assert_eq!(of(&["seed", "store"]), None);
        let twice = body.replace("\"model\"", "\"se\\u0065d\":2,\"model\"");
        let peek = read(&twice).unwrap();
        let of =
            |names: &[&'static str]| peek.duplicate_of(twice.as_bytes(), names.iter().copied());
        assert_eq!(of(&["store", "seed"]).as_deref(), Some("seed"));
        assert_eq!(of(&["store"]), None);
        assert_eq!(of(&[]), None);
    }
}

#[test]
fn another_body_than_the_one_read_does_no_harm() {
    let long = r#"{"x":{"y":[1,2,3]},"models":["aaaaaaaa","bbbbbb"],"model":"cccccccc"}"#;
    let peek = read(long).unwrap();
    let mut seed = Seed(7);
    for _ in 0..200 {
        let length = seed.below(long.len());
        let other = seed.spoil(&long[..length]);
        peek.names(&other).for_each(drop);
        peek.duplicate_of(&other, ["x", "y"].into_iter());
    }
}

#[test]
fn no_request_has_thousands_of_members() {
    let body = |count: usize| {
        let rest: String = (1..count).map(|n| format!(",\"m{n}\":0")).collect();
        format!("{{\"model\":\"a\"{rest}}}")
    };
    assert!(Peek::read(body(MOST_MEMBERS).as_bytes()).is_ok());
    let over = Peek::read(body(MOST_MEMBERS + 1).as_bytes());
    assert_eq!(over.unwrap_err(), PeekError::TooManyMembers);
}
