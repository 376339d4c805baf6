//! What providers and targets are up to.

use std::time::Duration;

use super::chance::Chance;
use crate::base::Endpoint;
use crate::journey::tests::journey::{ms, seconds};
use crate::journey::tests::play::{Act, DONE, FILTERED, HELLO, Play, finish, role, says};
use crate::seam::Broken;

/// How a target, or all of a provider, behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// 401 or 402.
    BadKey(u16),
    /// 5xx, with or without a `retry-after`.
    Busy(Option<u64>),
    /// A stream that breaks after its first words.
    Cuts,
    /// A 200 with an error or nothing in it.
    Empty,
    Fine,
    /// Anything, at each attempt anew.
    Flaps,
    /// 403, on one endpoint.
    Forbidden(Endpoint),
    /// No connection comes about.
    HangsUp,
    /// 429, with or without a time.
    Limited(Option<u64>),
    /// 404, on one endpoint.
    Missing(Endpoint),
    /// The code that serves it panics.
    Panics,
    /// What is wrong is the prompt's fault: one of several ways.
    Prompt(u8),
    Refuses,
    Resets,
    Silent,
    /// It answers, but not soon.
    Slow,
    /// A connection from the pool is dead, a fresh one is not.
    Stale,
}

impl Mood {
    pub(super) fn of_target(chance: &mut Chance) -> Self {
        let endpoint = chance.of(&Endpoint::ALL);
        let wait = chance.percent(60).then(|| chance.between(0, 40));
        let prompt = u8::try_from(chance.between(0, 4)).unwrap();
        chance.of(&[
            Self::Busy(None),
            Self::Busy(wait),
            Self::Cuts,
            Self::Empty,
            Self::Fine,
            Self::Fine,
            Self::Fine,
            Self::Flaps,
            Self::Forbidden(endpoint),
            Self::Limited(wait),
            Self::Limited(wait),
            Self::Missing(endpoint),
            Self::Panics,
            Self::Prompt(prompt),
            Self::Prompt(prompt),
            Self::Resets,
            Self::Silent,
            Self::Slow,
            Self::Stale,
        ])
    }

    /// Of a whole provider; mostly nothing special.
    pub(super) fn of_provider(chance: &mut Chance) -> Self {
        let status = chance.of(&[401, 402]);
        chance.of(&[
            Self::BadKey(status),
            Self::Fine,
            Self::Fine,
            Self::Fine,
            Self::HangsUp,
            Self::Refuses,
        ])
    }

    /// Whether it can do anything to live state.
    pub(super) fn is_harmless(self) -> bool {
        match self {
            Self::Fine | Self::Prompt(_) | Self::Stale => true,
            Self::BadKey(_)
            | Self::Busy(_)
            | Self::Cuts
            | Self::Empty
            | Self::Flaps
            | Self::Forbidden(_)
            | Self::HangsUp
            | Self::Limited(_)
            | Self::Missing(_)
            | Self::Panics
            | Self::Refuses
            | Self::Resets
            | Self::Silent
            | Self::Slow => false,
        }
    }

    /// What one attempt meets.
    pub(super) fn play(self, endpoint: Endpoint, stream: bool, chance: &mut Chance) -> Play {
        match self {
            Self::BadKey(status) => Play::error(status, "invalid_api_key"),
            Self::Busy(wait) => told(Play::error(503, "overloaded"), wait),
            Self::Cuts if stream => Play::sse()
                .events([&*role(), &says("Hel")])
                .wait(ms(chance.between(0, 2000)))
                .broken(Broken::Reset),
            Self::Cuts | Self::Resets => Play::breaks(Broken::Reset).after(ms(1)),
            Self::Empty => Play::json(200, r#"{"error":{"message":"x","type":"server_error"}}"#),
            Self::Fine => answer(endpoint, stream, chance),
            Self::Flaps => {
                let mood = Self::of_target(chance);
                let mood = if mood == Self::Flaps {
                    Self::Fine
                } else {
                    mood
                };
                mood.play(endpoint, stream, chance)
            }
            Self::Forbidden(at) if at == endpoint => Play::error(403, "forbidden"),
            Self::Missing(at) if at == endpoint => Play::error(404, "model_not_found"),
            Self::Forbidden(_) | Self::Missing(_) | Self::Panics | Self::Stale => {
                answer(endpoint, stream, chance)
            }
            Self::HangsUp => Play {
                open: vec![Act::Hang],
                ..Play::default()
            },
            Self::Limited(wait) => {
                let play = Play::error(429, "rate_limit_exceeded");
                told(play, wait).after(ms(chance.between(0, 2000)))
            }
            Self::Prompt(0) => Play::error(400, "content_filter"),
            Self::Prompt(1) => Play::error(400, "context_length_exceeded"),
            Self::Prompt(2) => Play::error(413, "too_large"),
            Self::Prompt(3) if endpoint == Endpoint::Chat => Play::json(200, FILTERED),
            Self::Prompt(_) => Play::error(404, "previous_response_not_found"),
            Self::Refuses => Play::refused(),
            Self::Silent => Play::silent(),
            Self::Slow => answer(endpoint, stream, chance).after(ms(chance.between(500, 6000))),
        }
    }
}

fn told(play: Play, wait: Option<u64>) -> Play {
    match wait {
        None => play,
        Some(wait) => play.header("retry-after", &wait.to_string()),
    }
}

fn answer(endpoint: Endpoint, stream: bool, chance: &mut Chance) -> Play {
    let play = match endpoint {
        Endpoint::Chat if stream => Play::sse()
            .events([&*role(), &says("Hel")])
            .wait(ms(chance.between(0, 1500)))
            .events([&*says("lo"), &finish("stop"), DONE]),
        Endpoint::Chat => Play::json(200, HELLO),
        Endpoint::Completions => Play::json(
            200,
            r#"{"model":"up","choices":[{"text":"Hello","finish_reason":"stop"}]}"#,
        ),
        Endpoint::Embeddings => Play::json(200, r#"{"model":"up","data":[]}"#),
        Endpoint::Responses => Play::json(200, r#"{"model":"up","output":[]}"#),
    };
    play.after(ms(chance.between(0, 300)))
}

/// The longest time that any provider here asks for, and any answer takes.
pub(super) const LONGEST: Duration = seconds(40);
