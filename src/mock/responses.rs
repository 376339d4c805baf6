//! Good answers of `/responses`, member for member as OpenAI writes them.

use bytes::Bytes;

use super::completion::{CREATED, Speech, Usage, quoted};

/// The whole answer.
pub(super) fn plain(speech: &Speech) -> Bytes {
    ended(speech).into()
}

/// The events of a stream, from `response.created` to the last `response.*`.
pub(super) fn events(speech: &Speech) -> Vec<Bytes> {
    let id = &speech.id;
    let mut events: Vec<Bytes> = Vec::with_capacity(speech.pieces.len() + 8);
    let mut event = |name: &str, members: &str| {
        let number = events.len();
        events.push(
            format!(
                "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{members}}}\n\n"
            )
            .into(),
        );
    };
    let begun = response(speech, "in_progress", "", "null");
    event("response.created", &format!(r#""response":{begun}"#));
    event("response.in_progress", &format!(r#""response":{begun}"#));
    if !speech.pieces.is_empty() {
        let place = format!(r#""item_id":"msg_{id}","output_index":0,"content_index":0"#);
        event(
            "response.output_item.added",
            &format!(r#""output_index":0,"item":{}"#, item(id, "in_progress", "")),
        );
        event(
            "response.content_part.added",
            &format!(r#"{place},"part":{}"#, part("")),
        );
        for piece in &speech.pieces {
            let piece = quoted(piece);
            event(
                "response.output_text.delta",
                &format!(r#"{place},"delta":{piece},"logprobs":[]"#),
            );
        }
        let text = speech.text_whole();
        event(
            "response.output_text.done",
            &format!(r#"{place},"text":{},"logprobs":[]"#, quoted(&text)),
        );
        event(
            "response.content_part.done",
            &format!(r#"{place},"part":{}"#, part(&text)),
        );
        event(
            "response.output_item.done",
            &format!(
                r#""output_index":0,"item":{}"#,
                item(id, "completed", &part(&text))
            ),
        );
    }
    let name = match speech.filtered {
        true => "response.incomplete",
        false => "response.completed",
    };
    event(name, &format!(r#""response":{}"#, ended(speech)));
    events
}

/// The response object at its end.
fn ended(speech: &Speech) -> String {
    let Usage {
        input,
        cached,
        output,
        reasoning,
    } = speech.usage;
    let total = input + output;
    let usage = format!(
        r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{cached}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{total}}}"#
    );
    if speech.filtered {
        return response(speech, "incomplete", "", &usage);
    }
    let said = item(&speech.id, "completed", &part(&speech.text_whole()));
    response(speech, "completed", &said, &usage)
}

fn response(speech: &Speech, status: &str, output: &str, usage: &str) -> String {
    let Speech { id, model, .. } = speech;
    let details = match status {
        "incomplete" => r#"{"reason":"content_filter"}"#,
        _ => "null",
    };
    format!(
        r#"{{"id":"resp_{id}","object":"response","created_at":{CREATED},"status":"{status}","error":null,"incomplete_details":{details},"instructions":null,"max_output_tokens":null,"model":{model},"output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"store":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0,"usage":{usage},"metadata":{{}}}}"#
    )
}

fn item(id: &str, status: &str, content: &str) -> String {
    format!(
        r#"{{"id":"msg_{id}","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
    )
}

fn part(text: &str) -> String {
    let text = quoted(text);
    format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":{text}}}"#)
}
