//! Whether an answer is the one that its request must get: from a candidate
//! that may answer, whole, in good form, and nobody else's.

use serde_json::Value;

use crate::ask::{Ask, Kind, MARK, WORDS};
use crate::line::Answer;
use crate::modes::{MODE, WELL};
use crate::walk::Walk;

/// The walk that led to a right answer, or what is wrong.
pub(crate) fn verdict(ask: &Ask, answer: &Answer) -> Result<Walk, String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    same("x-mock-mode", answer.header(MODE)?, WELL)?;
    let who = answer.header("x-standin-model")?;
    match ask.answerer {
        Some(only) => same("x-standin-model", who, only)?,
        None if ask.candidates.iter().any(|name| name == who) => {}
        None => return Err(format!("answered by {who:?}, which was not asked for")),
    }
    same("x-test-id", answer.header("x-test-id")?, &ask.id)?;
    if answer.header("x-request-id")?.is_empty() {
        return Err("an empty x-request-id".to_owned());
    }
    let body = std::str::from_utf8(&answer.body).map_err(|_| "a body that is not text")?;
    let (ids, own) = (body.matches(MARK).count(), body.matches(&ask.id).count());
    if own == 0 || ids != own {
        return Err(format!("{ids} ids in it, {own} of them its own"));
    }
    let kind = answer.header("content-type")?;
    let (expected, done) = match ask.kind.is_stream() {
        true => ("text/event-stream", stream(ask, who, body)),
        false => ("application/json", plain(ask, who, body)),
    };
    if kind.split(';').next() != Some(expected) {
        return Err(format!("content-type {kind}"));
    }
    done?;
    walk(ask, who, answer.header("x-standin-attempts")?)
}

/// The walk to an answer that visibly broke off after commit, and of which
/// what there is is right; else what is wrong. `is_broken`: the connection
/// ended with it.
pub(crate) fn cut(ask: &Ask, answer: &Answer, is_broken: bool) -> Result<Walk, String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let who = answer.header("x-standin-model")?;
    same("x-test-id", answer.header("x-test-id")?, &ask.id)?;
    let body = std::str::from_utf8(&answer.body).map_err(|_| "a body that is not text")?;
    match (ask.kind.is_stream(), is_broken) {
        (true, _) => beginning(ask, who, body, is_broken)?,
        (false, true) => {}
        (false, false) => return Err("a plain answer that is wrong".to_owned()),
    }
    walk(ask, who, answer.header("x-standin-attempts")?)
}

/// Events that begin the right answer, and an error at their end, or at least
/// no end of their own.
fn beginning(ask: &Ask, who: &str, body: &str, is_broken: bool) -> Result<(), String> {
    let (events, rest) = body.rsplit_once("\n\n").unwrap_or(("", body));
    if !is_broken && !rest.is_empty() {
        return Err("a stream that ends within an event".to_owned());
    }
    let mut words = String::new();
    let mut is_error = false;
    let data = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    for event in data {
        if is_error || event == "[DONE]" || event.contains("\"response.completed\"") {
            return Err(format!("{event:?} in an answer that broke off"));
        }
        let event = parsed(event)?;
        is_error = event["error"].is_object();
        let model = event.get("model").or(event["response"].get("model"));
        if let Some(model) = model {
            same("an event's model", text(model), who)?;
        }
        words += text(&event["choices"][0]["delta"]["content"]);
        words += text(&event["choices"][0]["text"]);
        if event["type"] == "response.output_text.delta" {
            words += text(&event["delta"]);
        }
    }
    if !is_broken && !is_error {
        return Err("a clean end of half an answer".to_owned());
    }
    match said(ask).starts_with(&words) {
        true => Ok(()),
        false => Err(format!("it began with {words:?}")),
    }
}

fn same(what: &str, is: &str, expected: &str) -> Result<(), String> {
    if is == expected {
        Ok(())
    } else {
        Err(format!("{what} is {is:?}, not {expected:?}"))
    }
}

/// Each candidate before the one that answered failed or was skipped for its
/// live state, that one answered, and nobody was asked behind it.
fn walk(ask: &Ask, who: &str, header: &str) -> Result<Walk, String> {
    let walk = Walk::read(header)?;
    let place = ask.candidates.iter().position(|name| name == who);
    let expected = &ask.candidates[..=place.ok_or("answered by nobody")?];
    // A candidate with two targets stands there once for each.
    let mut names: Vec<&str> = walk.entries().map(|entry| entry.name.as_str()).collect();
    names.dedup();
    let strange = walk
        .skips()
        .any(|why| !["cooling", "credential", "open", "probing"].contains(&why));
    if names != expected || walk.last_word() != "200" || strange {
        return Err(format!("walked {header:?}"));
    }
    Ok(walk)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn said(ask: &Ask) -> String {
    format!("{} {WORDS}", ask.id)
}

fn plain(ask: &Ask, who: &str, body: &str) -> Result<(), String> {
    let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    same("model", text(&body["model"]), who)?;
    let choice = &body["choices"][0];
    let (is, expected) = match ask.kind {
        Kind::Chat | Kind::ChatStream => (&choice["message"]["content"], said(ask)),
        Kind::Completion | Kind::CompletionStream => (&choice["text"], said(ask)),
        Kind::Embeddings => (&body["id"], ask.id.clone()),
        Kind::Responses | Kind::ResponsesStream => {
            (&body["output"][0]["content"][0]["text"], said(ask))
        }
    };
    same("text", text(is), &expected)
}

fn stream(ask: &Ask, who: &str, body: &str) -> Result<(), String> {
    let body = body
        .strip_suffix("\n\n")
        .ok_or("a stream that ends within an event")?;
    let mut events = Vec::new();
    for event in body.split("\n\n") {
        let data: Vec<&str> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        match data.as_slice() {
            [] if event.lines().all(|line| line.starts_with(':')) => {}
            [data] => events.push(*data),
            _ => return Err(format!("no event: {event:?}")),
        }
    }
    match ask.kind {
        Kind::ResponsesStream => responses(ask, who, &events),
        Kind::Chat
        | Kind::ChatStream
        | Kind::Completion
        | Kind::CompletionStream
        | Kind::Embeddings
        | Kind::Responses => chunks(ask, who, &events),
    }
}

fn parsed(event: &str) -> Result<Value, String> {
    serde_json::from_str(event).map_err(|error| format!("{error} in {event:?}"))
}

fn chunks(ask: &Ask, who: &str, events: &[&str]) -> Result<(), String> {
    let Some((&"[DONE]", events)) = events.split_last() else {
        return Err("no [DONE] at its end".to_owned());
    };
    let mut words = String::new();
    let mut finish = "";
    let mut usages = 0;
    let events = events.iter().map(|event| parsed(event));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    for event in &events {
        same("a chunk's model", text(&event["model"]), who)?;
        let choice = &event["choices"][0];
        words += text(&choice["delta"]["content"]);
        words += text(&choice["text"]);
        if let Some(reason) = choice["finish_reason"].as_str() {
            finish = reason;
        }
        let hides = event.get("usage").is_some() && !ask.wants_usage;
        if hides {
            return Err("usage that nobody asked for".to_owned());
        }
        usages += usize::from(event["usage"].is_object());
    }
    if usages != usize::from(ask.wants_usage) {
        return Err(format!("{usages} usage events"));
    }
    same("finish_reason", finish, "stop")?;
    same("text", &words, &said(ask))
}

fn responses(ask: &Ask, who: &str, events: &[&str]) -> Result<(), String> {
    let mut words = String::new();
    let mut last = Value::Null;
    for (number, event) in events.iter().enumerate() {
        let event = parsed(event)?;
        if event["sequence_number"] != number {
            return Err(format!("event {number} out of its place"));
        }
        if let Some(response) = event.get("response") {
            same("response.model", text(&response["model"]), who)?;
        }
        if event["type"] == "response.output_text.delta" {
            words += text(&event["delta"]);
        }
        last = event;
    }
    same("last event", text(&last["type"]), "response.completed")?;
    let whole = &last["response"]["output"][0]["content"][0]["text"];
    same("final text", text(whole), &words)?;
    same("text", &words, &said(ask))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn ask(kind: Kind) -> Ask {
        let mut asks = (0..).map(|number| Ask::drawn(1, number, vec!["a/m".to_owned()]));
        asks.find(|ask| ask.kind == kind).unwrap()
    }

    /// What became of an answer to it, with this body.
    fn judged(kind: Kind, body: &str, is_broken: bool) -> Result<Walk, String> {
        let ask = ask(kind);
        let headers = [
            ("x-standin-model", "a/m"),
            ("x-test-id", &ask.id),
            ("x-standin-attempts", "a/m=200"),
        ];
        let answer = Answer {
            status: 200,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body: Bytes::from(body.replace("ID", &ask.id)),
        };
        cut(&ask, &answer, is_broken)
    }

    fn event(words: &str) -> String {
        let event = json!({ "model": "a/m", "choices": [{ "delta": { "content": words } }] });
        format!("data: {event}\n\n")
    }

    const ERROR: &str = "data: {\"error\":{\"message\":\"it broke off\"}}\n\n";

    #[test]
    fn a_stream_that_tells_of_its_cut_is_visibly_cut() {
        let words = event("ID one");
        judged(Kind::ChatStream, &format!("{words}{ERROR}"), false).unwrap();
        judged(Kind::ChatStream, &format!("{words}data: {{\"mo"), true).unwrap();
        judged(Kind::Chat, "{\"id\":", true).unwrap();
    }

    #[test]
    fn what_looks_whole_wrong_or_foreign_is_not() {
        let words = event("ID one");
        let foreign = words.replace("a/m", "b/m");
        for (body, is_broken) in [
            (words.clone(), false),
            (format!("{words}{ERROR}data: [DONE]\n\n"), false),
            (format!("{words}data: [DONE]\n\n"), true),
            (format!("{words}{ERROR}{words}"), false),
            (format!("{words}data: {{\"mo"), false),
            (format!("{foreign}{ERROR}"), false),
            (format!("{}{ERROR}", event("tid-00000099z one")), false),
        ] {
            let judged = judged(Kind::ChatStream, &body, is_broken);
            assert!(judged.is_err(), "{body:?}, {is_broken}");
        }
        assert!(judged(Kind::Chat, "{}", false).is_err());
    }
}
