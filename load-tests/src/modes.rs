//! Which ways of failing the failing providers draw from.
//!
//! They are those of `standin::mock::failures()`, under their names, that
//! make a candidate fail before commit. What that is depends on the request:
//! an answer that is cut after its first event has said nothing yet in a
//! chat, and half of it in a completion. Left out is what rightly cannot fall
//! over, and what is no failure for this kind of request.

use standin::mock::{Reply, failures, roll};

use crate::ask::{Kind, kind};

/// The header in which a reply says which one it is. None but the healthy
/// one's may reach a client.
pub(crate) const MODE: &str = "x-mock-mode";
/// Its value in an answer that is well.
pub(crate) const WELL: &str = "well";

/// Of so many draws each mode takes as many as it has weight; those that last
/// until Standin gives up take few, because each costs seconds.
const WEIGHT: u64 = 100;
const SILENT_WEIGHT: u64 = 3;

/// What a way of failing comes to for one kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    /// A whole answer: no failure.
    Answers,
    /// A failure before anything is said: the next candidate is tried.
    Early,
    /// A failure after commit: nobody can answer instead any more.
    Late,
}

/// What this way of failing comes to for this kind of request.
pub(crate) fn comes(mode: &str, kind: Kind) -> Comes {
    match (mode, kind) {
        // Words have been sent.
        (
            "cut after the first words"
            | "reset after the first words"
            | "silent after the first words"
            | "stream ends without finish",
            Kind::ChatStream | Kind::CompletionStream,
        )
        // A completion has no opening: its first event is its first word.
        | (
            "cut after the first event"
            | "reset after the first event"
            | "silent after the first event"
            | "cut inside a chunk"
            | "reset inside a chunk"
            | "silent inside a chunk"
            | "stream ends after the first event"
            | "bad chunk size",
            Kind::CompletionStream,
        ) => Comes::Late,
        // The stream's own end, which is what counts, has been sent.
        (
            "cut before the last chunk" | "length too long",
            Kind::ChatStream | Kind::CompletionStream | Kind::ResponsesStream,
        )
        // They are about streams.
        | (
            "stream ends after the first event" | "stream ends without finish",
            Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Responses,
        )
        // An embedding is shorter than where these break off, and has no
        // finish reason.
        | (
            "cut inside a chunk" | "reset inside a chunk" | "silent inside a chunk"
            | "filtered 200",
            Kind::Embeddings,
        ) => Comes::Answers,
        _ => Comes::Early,
    }
}

/// What a failing provider has to draw from.
pub(crate) struct Repertoire {
    seed: u64,
    replies: Vec<(&'static str, Reply)>,
}

impl Repertoire {
    /// Of the provider with this name.
    pub(crate) fn new(seed: u64, provider: &str) -> Self {
        let salt = provider.bytes().map(u64::from).sum();
        Self {
            seed: roll(seed, salt),
            replies: failures(),
        }
    }

    /// What is drawn for the request with this number, in a run of this seed.
    pub(crate) fn draw(&self, run: u64, number: u64) -> Option<&(&'static str, Reply)> {
        let kind = kind(run, number);
        let weight = |mode: &str| match comes(mode, kind) {
            Comes::Answers | Comes::Late => 0,
            Comes::Early if mode.starts_with("silent") => SILENT_WEIGHT,
            Comes::Early => WEIGHT,
        };
        let total: u64 = self.replies.iter().map(|(mode, _)| weight(mode)).sum();
        let mut left = roll(self.seed, number) % total.max(1);
        self.replies.iter().find(|(mode, _)| {
            let weight = weight(mode);
            let is_hit = left < weight;
            left = left.saturating_sub(weight);
            is_hit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_drawn_for_some_request() {
        let repertoire = Repertoire::new(1, "shaky");
        let drawn: std::collections::HashSet<&str> = (0..50_000)
            .filter_map(|number| repertoire.draw(1, number))
            .map(|(mode, _)| *mode)
            .collect();
        for (mode, _) in failures() {
            assert!(drawn.contains(mode), "{mode}");
        }
    }

    #[test]
    fn what_is_left_out_is_named_as_the_mock_names_it() {
        let names: Vec<&str> = failures().into_iter().map(|(mode, _)| mode).collect();
        let left_out = names.iter().filter(|mode| {
            let kinds = [Kind::Chat, Kind::CompletionStream, Kind::Embeddings];
            kinds.iter().any(|kind| comes(mode, *kind) != Comes::Early)
        });
        // As many as `comes` names: a renamed one would be drawn again.
        assert_eq!(left_out.count(), 15);
    }
}
