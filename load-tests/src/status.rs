//! What the admin port's `/status` says of a provider, and how that changes.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::line::Line;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One state that has to do with the provider: its own or a target's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Whose.
    of: String,
    word: String,
    /// Why, in `/status`' words.
    why: String,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View(Vec<State>);

/// One look. Times are since the run's beginning: what it shows was so at
/// some moment between the two.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) sent: Duration,
    pub(crate) came: Duration,
    pub(crate) view: View,
}

impl View {
    /// What this status says of the provider of this name.
    pub(crate) fn of(provider: &str, status: &Value) -> Self {
        let mut states = Vec::new();
        for kind in ["targets", "providers"] {
            for one in status[kind].as_array().into_iter().flatten() {
                let is_its_own = [&one["provider"], &one["name"]].contains(&&provider.into());
                if is_its_own {
                    let name = one["model"].as_str().unwrap_or(provider);
                    collect(name, one, &mut states);
                }
            }
        }
        Self(states)
    }

    /// Whether all is well with it.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|state| state.word == "healthy")
    }

    /// Whether it or its target is passed over.
    pub(crate) fn is_out(&self) -> bool {
        self.0.iter().any(|state| state.word != "healthy")
    }
}

/// A provider's connection and credential may have states of their own within
/// it.
fn collect(name: &str, one: &Value, states: &mut Vec<State>) {
    let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
    if one["state"].is_string() {
        states.push(State {
            of: name.to_owned(),
            word: text("state"),
            why: text("why"),
        });
    }
    for (within, value) in one.as_object().into_iter().flatten() {
        collect(&format!("{name} {within}"), value, states);
    }
}

impl fmt::Display for View {
    /// Only what is not well, where something is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_out() {
            return f.write_str("healthy");
        }
        let bad = self.0.iter().filter(|state| state.word != "healthy");
        for (place, State { of, word, why }) in bad.enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            match why.as_str() {
                "" => write!(f, "{comma}{of} {word}")?,
                why => write!(f, "{comma}{of} {word} ({why})")?,
            }
        }
        Ok(())
    }
}

/// Looks at `/status` again and again.
pub(crate) struct Watch {
    at: SocketAddr,
    provider: &'static str,
    /// From which moment its times count.
    began: Instant,
    line: Option<Line>,
}

impl Watch {
    pub(crate) fn new(at: SocketAddr, provider: &'static str, began: Instant) -> Self {
        Self {
            at,
            provider,
            began,
            line: None,
        }
    }

    pub(crate) async fn look(&mut self) -> Result<Look, String> {
        let look = timeout(PATIENCE, self.ask()).await;
        look.unwrap_or_else(|_| Err(format!("/status: no answer within {PATIENCE:?}")))
    }

    async fn ask(&mut self) -> Result<Look, String> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Line::to(self.at).await?,
        };
        let request = format!("GET /status HTTP/1.1\r\nhost: {}\r\n\r\n", self.at);
        let sent = self.began.elapsed();
        let answer = line.exchange(request.as_bytes()).await?;
        let came = self.began.elapsed();
        if answer.status != 200 {
            return Err(format!("/status is answered with {}", answer.status));
        }
        let status = serde_json::from_slice(&answer.body);
        let status = status.map_err(|error| format!("/status: {error}"))?;
        if !answer.closes() {
            self.line = Some(line);
        }
        Ok(Look {
            sent,
            came,
            view: View::of(self.provider, &status),
        })
    }

    /// Looks until such a one has come, or an error.
    pub(crate) async fn until(
        &mut self,
        wanted: impl Fn(&View) -> bool,
        within: Duration,
    ) -> Result<Look, String> {
        let wait = async {
            let mut looks = pauses();
            loop {
                looks.tick().await;
                let look = self.look().await?;
                if wanted(&look.view) {
                    return Ok(look);
                }
            }
        };
        let look = timeout(within, wait).await;
        look.unwrap_or_else(|_| Err(format!("/status did not change within {within:?}")))
    }

    /// Notes what it sees, until it is dropped or `/status` fails.
    pub(crate) async fn note(mut self, looks: Rc<RefCell<Vec<Look>>>) -> String {
        let mut pause = pauses();
        loop {
            pause.tick().await;
            match self.look().await {
                Ok(look) => looks.borrow_mut().push(look),
                Err(why) => return why,
            }
        }
    }
}

fn pauses() -> tokio::time::Interval {
    let mut pauses = interval(PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pauses
}

/// The looks that showed something else than the one before.
pub(crate) fn changes(looks: &[Look]) -> impl Iterator<Item = &Look> {
    looks.iter().enumerate().filter_map(|(place, look)| {
        let before = place.checked_sub(1).and_then(|place| looks.get(place));
        (before.is_none_or(|before| before.view != look.view)).then_some(look)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_view_holds_the_provider_s_own_states_and_those_of_its_targets() {
        let status = json!({
            "targets": [
                { "model": "primary/m", "provider": "primary", "state": "healthy", "why": null },
                { "model": "backup/m", "provider": "backup", "state": "open" },
            ],
            "providers": [
                { "provider": "primary", "state": "open", "why": "connect",
                  "credential": { "state": "cooling" } },
            ],
        });
        let view = View::of("primary", &status);
        assert!(view.is_out() && !view.is_healthy());
        let told = "primary open (connect), primary credential cooling";
        assert_eq!(view.to_string(), told);
        assert!(!View::of("backup", &status).is_healthy());
    }

    #[test]
    fn a_provider_of_which_nothing_is_said_is_neither_healthy_nor_out() {
        let view = View::of("primary", &json!({}));
        assert!(!view.is_out() && !view.is_healthy());
    }
}
