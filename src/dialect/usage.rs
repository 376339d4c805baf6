//! What an answer says it used, in every provider's spelling.
//!
//! One member of the answer, `usage`, with two families of names in it:
//! `prompt_tokens` and `completion_tokens` (chat, completions, embeddings;
//! platform.openai.com/docs/api-reference/chat/object) and `input_tokens` and
//! `output_tokens` (platform.openai.com/docs/api-reference/responses/object;
//! docs.anthropic.com/en/api/messages). What else is in it, a cost for
//! example, is not read.

use crate::usage::Tokens;
use crate::wire::json;

#[cfg(test)]
mod tests;

/// What stands in a `usage`, each as it is written.
#[derive(Default)]
struct Said {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    /// Parts of the input.
    cached: Option<u64>,
    cache_write: Option<u64>,
    input_audio: Option<u64>,
    /// Anthropic's names of the same, which stand beside its input.
    read_beside: Option<u64>,
    written_beside: Option<u64>,
    /// The input is called `input_tokens`.
    is_input: bool,
    reasoning: Option<u64>,
    output_audio: Option<u64>,
}

/// Reads the value of a `usage` that is known to be valid JSON. `None` where it
/// is no object or says nothing of tokens: nothing is known then. A zero that is
/// written is a zero.
///
/// A count that is none (below zero, a fraction, text, beyond 64 bits) is as if
/// it were not there. Parts never overlap and are never more than their whole:
/// what is too much in them is cut, cached tokens being counted first.
pub fn tokens(usage: &[u8]) -> Option<Tokens> {
    let mut said = Said::default();
    for member in json::members(usage) {
        let value = usage.get(member.value_at)?;
        let at = match () {
            () if member.key.is("prompt_tokens") => &mut said.input,
            () if member.key.is("input_tokens") => {
                said.is_input = true;
                &mut said.input
            }
            () if member.key.is("completion_tokens") || member.key.is("output_tokens") => {
                &mut said.output
            }
            () if member.key.is("total_tokens") => &mut said.total,
            // DeepSeek (api-docs.deepseek.com/guides/kv_cache), Moonshot and
            // Together, Mistral.
            () if [
                "prompt_cache_hit_tokens",
                "cached_tokens",
                "num_cached_tokens",
            ]
            .iter()
            .any(|name| member.key.is(name)) =>
            {
                &mut said.cached
            }
            () if member.key.is("cache_read_input_tokens") => &mut said.read_beside,
            () if member.key.is("cache_creation_input_tokens") => &mut said.written_beside,
            () if member.key.is("reasoning_tokens") => &mut said.reasoning,
            () if [
                "prompt_tokens_details",
                "input_tokens_details",
                "prompt_token_details",
            ]
            .iter()
            .any(|name| member.key.is(name)) =>
            {
                said.input_details(value);
                continue;
            }
            () if member.key.is("completion_tokens_details")
                || member.key.is("output_tokens_details") =>
            {
                said.output_details(value);
                continue;
            }
            () => continue,
        };
        *at = count(value).or(*at);
    }
    said.tokens()
}

impl Said {
    fn input_details(&mut self, details: &[u8]) {
        for member in json::members(details) {
            let at = match () {
                () if member.key.is("cached_tokens") => &mut self.cached,
                // GPT-5.6 and later: among the input, in place of its price
                // (developers.openai.com/api/docs/guides/prompt-caching).
                () if member.key.is("cache_write_tokens") => &mut self.cache_write,
                () if member.key.is("audio_tokens") => &mut self.input_audio,
                () => continue,
            };
            *at = details.get(member.value_at).and_then(count).or(*at);
        }
    }

    fn output_details(&mut self, details: &[u8]) {
        for member in json::members(details) {
            let at = match () {
                () if member.key.is("reasoning_tokens") => &mut self.reasoning,
                () if member.key.is("audio_tokens") => &mut self.output_audio,
                () => continue,
            };
            *at = details.get(member.value_at).and_then(count).or(*at);
        }
    }

    fn tokens(&self) -> Option<Tokens> {
        if self.input.is_none() && self.output.is_none() && self.total.is_none() {
            return None;
        }
        let output = self.output.unwrap_or(0);
        let input = match (self.input, self.total) {
            (Some(input), _) => input,
            (None, Some(total)) => total.saturating_sub(output),
            (None, None) => 0,
        };
        let (input, cached, cache_write) = self.with_cache(input, output);
        // The total tells of thoughts that are not counted in the output:
        // xAI's (docs.x.ai, "consumption and rate limits") and Gemini's, which
        // does not even say how many they are.
        let beside = self.total.map_or(0, |total| {
            total.saturating_sub(input.saturating_add(output))
        });
        let said = self.reasoning.unwrap_or(0);
        let beside = match self.total {
            // Thoughts that are more than the output cannot be among it.
            None if said > output => said,
            None | Some(_) => beside,
        };
        let output = output.saturating_add(beside);
        let reasoning = if self.reasoning.is_some() {
            said
        } else {
            beside
        };
        let cached = cached.min(input);
        let cache_write = cache_write.min(input - cached);
        Some(Tokens {
            input,
            cached,
            cache_write,
            input_audio: self
                .input_audio
                .unwrap_or(0)
                .min(input - cached - cache_write),
            output,
            reasoning: reasoning.min(output),
            output_audio: self.output_audio.unwrap_or(0).min(output),
        })
    }

    /// The whole input, and what of it was read from and written to the cache.
    /// Anthropic counts these two beside `input_tokens`; gateways that keep its
    /// names but call the input `prompt_tokens` mostly count them in it. Where
    /// there is a total it tells which.
    fn with_cache(&self, input: u64, output: u64) -> (u64, u64, u64) {
        let read = self.read_beside.unwrap_or(0);
        let written = self.written_beside.unwrap_or(0);
        let whole = input.saturating_add(read).saturating_add(written);
        let is_beside = match self.total {
            Some(total) if total == input.saturating_add(output) => false,
            Some(total) if total == whole.saturating_add(output) => true,
            Some(_) | None => self.is_input,
        };
        (
            if is_beside { whole } else { input },
            self.cached.unwrap_or(0).max(read),
            self.cache_write.unwrap_or(0).max(written),
        )
    }
}

/// A whole number, also when it is written with a fraction of nothing.
fn count(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    // `parse` takes a `+`, which JSON has not.
    whole.parse().ok()
}

/// The usage within Groq's `x_groq`.
pub(super) fn within(object: &[u8]) -> Option<Tokens> {
    let mut members = json::members(object).filter(|member| member.key.is("usage"));
    members.find_map(|member| tokens(object.get(member.value_at)?))
}

/// The service tier that an answer names, if it is one that may have prices of
/// its own. OpenAI calls `priority` `fast` too.
pub fn service_tier(value: &[u8]) -> Option<&'static str> {
    let named = json::string(value)?;
    let named = if named == "fast" { "priority" } else { &named };
    let mut tiers = crate::usage::Price::TIERS.into_iter();
    tiers.find(|tier| *tier == named)
}
