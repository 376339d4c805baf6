//! What an answer used that does not say so.

use super::Tokens;

/// Bytes of text to a token. English prose comes to that within a fifth; code
/// and indented text need fewer tokens, other scripts up to three times more.
const BYTES: u64 = 4;

/// About what was used where no `usage` came: a quarter of the prompt's bytes
/// and a quarter of the bytes said, rounded up, so that one word is a token and
/// not none.
///
/// `prompt` are the bytes of the request's body, `said` those of the text, the
/// thoughts and the tool calls of the answer as they stand in its JSON, escapes
/// and all. None of it is known to be cached, and thoughts that were not shown
/// are not counted.
pub fn estimate(prompt: u64, said: u64) -> Tokens {
    Tokens {
        input: prompt.div_ceil(BYTES),
        output: said.div_ceil(BYTES),
        ..Tokens::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_bytes_rounded_up() {
        for (prompt, said, input, output) in [
            (0, 0, 0, 0),
            (1, 1, 1, 1),
            (4, 4, 1, 1),
            (400, 5, 100, 2),
            (u64::MAX, u64::MAX, u64::MAX / 4 + 1, u64::MAX / 4 + 1),
        ] {
            let tokens = estimate(prompt, said);
            assert_eq!((tokens.input, tokens.output), (input, output));
            assert_eq!((tokens.cached, tokens.reasoning), (0, 0));
        }
    }
}
