//! Tokens as OpenAI counts them.

use std::ops::{Add, AddAssign};

/// What an answer used. The parts are parts: `cached` tokens are among
/// `input`, `reasoning` tokens among `output`, as in OpenAI's `usage`
/// (platform.openai.com/docs/api-reference/chat/object).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The prompt's, all kinds.
    pub input: u64,
    /// Of the input: read from the provider's cache.
    pub cached: u64,
    /// Of the input: written into the provider's cache.
    pub cache_write: u64,
    /// Of the input: sound.
    pub input_audio: u64,
    /// The answer's, all kinds.
    pub output: u64,
    /// Of the output: thoughts.
    pub reasoning: u64,
    /// Of the output: sound.
    pub output_audio: u64,
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            input_audio: self.input_audio.saturating_add(other.input_audio),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            output_audio: self.output_audio.saturating_add(other.output_audio),
        }
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
