//! Good answers of `/chat/completions`, `/completions`, `/embeddings` and
//! `/models`, member for member as OpenAI writes them.
//!
//! Written as text, not through a tree, so that members stand in OpenAI's
//! order and a load test is not spent on building answers.

use bytes::Bytes;
use serde_json::Value;

use super::content::Words;
use super::reply::Voice;
use super::seen::Seen;

/// Always the same moment, so that answers can be compared (unix seconds).
pub(super) const CREATED: u64 = 1_760_000_000;
/// What a prompt of unknown length counts as.
const INPUT_TOKENS: u64 = 12;
/// Azure's verdict on a harmless prompt.
const HARMLESS: &str = r#"[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}]"#;

/// What an answer says that it used, in tokens, counted as OpenAI counts:
/// `cached` is part of `input`, `reasoning` of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub input: u64,
    /// Of those, read from a cache.
    pub cached: u64,
    /// Of the answer.
    pub output: u64,
    /// Of those, thought and not said.
    pub reasoning: u64,
}

/// An answer to one request, not yet in the form of an endpoint.
pub(super) struct Speech {
    /// Unique to the request; the test's id where it is echoed.
    pub(super) id: String,
    /// As a JSON string.
    pub(super) model: String,
    /// As they will be sent, in order.
    pub(super) pieces: Vec<String>,
    pub(super) usage: Usage,
    pub(super) filtered: bool,
    azure: bool,
    /// Whether a stream tells its usage.
    tells_usage: bool,
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Speech {
    pub(super) fn new(words: &Words, voice: &Voice, seen: &Seen) -> Self {
        let mut pieces = words.pieces.clone();
        let echoed = if voice.echo { seen.test_id() } else { None };
        if let (Some(id), Some(first)) = (echoed, pieces.first_mut()) {
            first.insert_str(0, &format!("{id} "));
        }
        Self {
            id: match echoed {
                Some(id) => id.into(),
                None => format!("mock{}", seen.number),
            },
            model: quoted(
                voice
                    .model
                    .as_deref()
                    .or(seen.model())
                    .unwrap_or("mock-model"),
            ),
            usage: voice.usage.unwrap_or(Usage {
                input: INPUT_TOKENS,
                output: pieces.len() as u64,
                ..Usage::default()
            }),
            pieces,
            filtered: words.filtered,
            azure: voice.azure,
            tells_usage: seen.include_usage(),
        }
    }

    /// All of it.
    pub(super) fn text_whole(&self) -> String {
        self.pieces.concat()
    }

    fn finish(&self) -> &'static str {
        match self.filtered {
            true => "content_filter",
            false => "stop",
        }
    }

    fn usage(&self) -> String {
        let Usage {
            input,
            cached,
            output,
            reasoning,
        } = self.usage;
        let total = input + output;
        format!(
            r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
        )
    }

    pub(super) fn chat(&self) -> Bytes {
        let Self { id, model, .. } = self;
        let text = quoted(&self.text_whole());
        let (finish, usage) = (self.finish(), self.usage());
        let azure = match self.azure {
            true => format!(r#""prompt_filter_results":{HARMLESS},"#),
            false => String::new(),
        };
        format!(
            r#"{{"id":"chatcmpl-{id}","object":"chat.completion","created":{CREATED},"model":{model},{azure}"choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}],"usage":{usage},"service_tier":"default","system_fingerprint":"fp_mock"}}"#
        )
        .into()
    }

    pub(super) fn chat_events(&self) -> Vec<Bytes> {
        let Self { id, model, .. } = self;
        let event = |choices: &str, usage: &str| {
            Bytes::from(format!(
                "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\"model\":{model},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{choices}]{usage}}}\n\n"
            ))
        };
        let delta = |delta: &str, finish: &str| {
            event(
                &format!(
                    r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#
                ),
                self.no_usage(),
            )
        };
        let mut events = Vec::with_capacity(self.pieces.len() + 5);
        if self.azure {
            events.push(
                format!(
                    "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":{HARMLESS}}}\n\n"
                )
                .into(),
            );
        }
        events.push(delta(
            r#"{"role":"assistant","content":"","refusal":null}"#,
            "null",
        ));
        for piece in &self.pieces {
            events.push(delta(
                &format!(r#"{{"content":{}}}"#, quoted(piece)),
                "null",
            ));
        }
        events.push(delta("{}", &format!("\"{}\"", self.finish())));
        if self.tells_usage {
            events.push(event("", &format!(",\"usage\":{}", self.usage())));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    /// What stands in the events that do not tell the usage, where one will.
    fn no_usage(&self) -> &'static str {
        match self.tells_usage {
            true => ",\"usage\":null",
            false => "",
        }
    }

    pub(super) fn text(&self) -> Bytes {
        let Self { id, model, .. } = self;
        let text = quoted(&self.text_whole());
        let (finish, usage) = (self.finish(), self.usage());
        format!(
            r#"{{"id":"cmpl-{id}","object":"text_completion","created":{CREATED},"model":{model},"choices":[{{"text":{text},"index":0,"logprobs":null,"finish_reason":"{finish}"}}],"usage":{usage}}}"#
        )
        .into()
    }

    pub(super) fn text_events(&self) -> Vec<Bytes> {
        let Self { id, model, .. } = self;
        let event = |choices: &str, usage: &str| {
            Bytes::from(format!(
                "data: {{\"id\":\"cmpl-{id}\",\"object\":\"text_completion\",\"created\":{CREATED},\"choices\":[{choices}],\"model\":{model}{usage}}}\n\n"
            ))
        };
        let piece = |text: &str, finish: &str| {
            let text = quoted(text);
            event(
                &format!(r#"{{"text":{text},"index":0,"logprobs":null,"finish_reason":{finish}}}"#),
                self.no_usage(),
            )
        };
        let mut events: Vec<Bytes> = self.pieces.iter().map(|p| piece(p, "null")).collect();
        events.push(piece("", &format!("\"{}\"", self.finish())));
        if self.tells_usage {
            events.push(event("", &format!(",\"usage\":{}", self.usage())));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    /// An embedding has no text to echo in, so the id becomes a member.
    pub(super) fn embedding(&self) -> Bytes {
        let Self { id, model, .. } = self;
        let input = self.usage.input;
        format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.0023,-0.0093,0.0157,-0.0042]}}],"model":{model},"usage":{{"prompt_tokens":{input},"total_tokens":{input}}},"id":"{id}"}}"#
        )
        .into()
    }
}

/// The list of models, or the one that the path names.
pub(super) fn models(names: &[String], seen: &Seen) -> Bytes {
    let entry = |name: &str| {
        let name = quoted(name);
        format!(r#"{{"id":{name},"object":"model","created":{CREATED},"owned_by":"mock"}}"#)
    };
    if let Some((_, name)) = seen.path().split_once("/models/") {
        return entry(name).into();
    }
    let entries: Vec<String> = names.iter().map(|name| entry(name)).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, entries.join(",")).into()
}
