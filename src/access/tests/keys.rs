//! Who comes in, and what they may use.

use super::*;
use crate::outcome::Skip;
use crate::refusal::Refusal;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn without_keys_everyone_is_let_in_whatever_they_send() {
    let access = access(&[]);
    for headers in [HeaderMap::new(), bearer("sk-a")] {
        assert!(access.who(&headers).unwrap().is_none());
    }
}

#[test]
fn a_key_is_found_in_any_of_three_headers() {
    let access = access(&[("a", ""), ("b", "")]);
    for (sent, name) in [
        (&[("authorization", "Bearer sk-a")][..], "a"),
        (&[("authorization", "bEARER \t sk-b ")], "b"),
        (&[("x-api-key", "sk-a")], "a"),
        (&[("api-key", "sk-b")], "b"),
        (&[("api-key", "sk-b"), ("x-api-key", "sk-a")], "a"),
        (
            &[("authorization", "Bearer sk-a"), ("x-api-key", "sk-b")],
            "a",
        ),
        (
            &[("authorization", "Basic c2s="), ("x-api-key", "sk-b")],
            "b",
        ),
    ] {
        let who = access.who(&headers(sent)).unwrap().unwrap();
        assert_eq!(&**who.name(), name, "{sent:?}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let access = access(&[("a", "")]);
    for (sent, refusal) in [
        (&[][..], Refusal::NoKey),
        (&[("authorization", "")], Refusal::NoKey),
        (&[("authorization", "Bearer")], Refusal::NoKey),
        (&[("authorization", "Bearer ")], Refusal::NoKey),
        (&[("authorization", "sk-a")], Refusal::NoKey),
        (&[("authorization", "Basic sk-a")], Refusal::NoKey),
        (&[("x-api-key", " ")], Refusal::NoKey),
        // Which of two counts, readers on the way may see differently.
        (
            &[
                ("authorization", "Bearer sk-a"),
                ("authorization", "Bearer sk-a"),
            ],
            Refusal::NoKey,
        ),
        (&[("authorization", "Bearer sk-A")], Refusal::UnknownKey),
        (
            &[("authorization", "Bearer sk-a sk-a")],
            Refusal::UnknownKey,
        ),
        (
            &[("authorization", "Bearer sk-b"), ("x-api-key", "sk-a")],
            Refusal::UnknownKey,
        ),
    ] {
        assert_eq!(access.who(&headers(sent)).unwrap_err(), refusal, "{sent:?}");
        assert_eq!(refusal.status(), 401);
    }
    let digest = Digest::of(b"sk-a").to_string();
    let sent = headers(&[("x-api-key", &digest)]);
    assert_eq!(access.who(&sent).unwrap_err(), Refusal::UnknownKey);
}

#[test]
fn each_of_many_keys_is_its_own() {
    let names: Vec<String> = (0..2000).map(|n| format!("team-{n}")).collect();
    let keys: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let access = access(&keys);
    for name in &names {
        assert_eq!(**holder(&access, name).name(), **name);
    }
    assert!(access.who(&bearer("sk-team-2000")).is_err());
}

#[test]
fn digests_that_begin_alike_are_told_apart() {
    let mut config = config(&[("a", ""), ("b", ""), ("c", "")]);
    let real = Digest::of(b"sk-b");
    for (last, key) in ["00", "01", "ff"].into_iter().zip(&mut config.keys) {
        if *key.name != *"b" {
            let text = format!("{}{last}", &real.to_string()[..62]);
            Arc::make_mut(key).sha256 = text.parse().unwrap();
        }
    }
    let access = Access::new(&config, None, &nothing, noon(0));
    assert_eq!(&**holder(&access, "b").name(), "b");
    assert!(access.who(&bearer("sk-a")).is_err());
}

#[test]
fn a_removed_key_stops_at_once_and_its_requests_end() {
    let before = access(&[("a", ""), ("b", "")]);
    let running = holder(&before, "a").enter(10, at(0)).unwrap();
    let after = Access::new(&config(&[("b", "")]), Some(&before), &nothing, noon(0));
    assert_eq!(after.who(&bearer("sk-a")).unwrap_err(), Refusal::UnknownKey);
    assert!(after.who(&bearer("sk-b")).is_ok());
    running.settle(&tokens(1, 1), None, at(5), noon(1));
}

#[test]
fn a_key_may_use_what_its_globs_say() {
    let holder = one("models: [\"p/gpt-*\", p/o1]");
    for (model, may) in [
        ("p/gpt-4o", true),
        ("p/gpt-", true),
        ("p/o1", true),
        ("p/o1-mini", false),
        ("gpt-4o", false),
        ("P/gpt-4o", false),
        ("", false),
    ] {
        assert_eq!(holder.may(&model.into()), may, "{model}");
    }
    assert!(one("").may(&"p/anything".into()));
}

#[test]
fn a_key_with_a_budget_may_not_use_what_has_no_price() {
    let skipped = |rest: &str, model: &str, is_priced| {
        let entered = one(rest).enter(1, at(0)).unwrap();
        entered.may(&model.into(), is_priced)
    };
    let models = "models: [\"p/a*\"]";
    assert_eq!(skipped(models, "p/a", false), None);
    assert_eq!(skipped(models, "p/b", true), Some(Skip::NotAllowed));
    let budget = "models: [\"p/a*\"], budget: { usd: 1 }";
    assert_eq!(skipped(budget, "p/a", true), None);
    assert_eq!(skipped(budget, "p/a", false), Some(Skip::NotAllowed));
    assert_eq!(skipped(budget, "p/b", true), Some(Skip::NotAllowed));
}

#[test]
fn nothing_of_a_key_is_ever_shown() {
    let access = access(&[("a", "budget: { usd: 1 }")]);
    let entered = holder(&access, "a").enter(1, at(0)).unwrap();
    let shown = format!("{access:?} {entered:?}");
    let digest = Digest::of(b"sk-a").to_string();
    assert!(
        !shown.contains("sk-a") && !shown.contains(&digest[..8]),
        "{shown}"
    );
    for refusal in [Refusal::NoKey, Refusal::UnknownKey] {
        let body = refusal.body();
        assert!(!String::from_utf8_lossy(&body).contains("sk-"));
    }
}
