//! What a test is told by `/status`, and asking until something is so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, PATIENCE};
use crate::talk::{Answer, Talk};

/// Between two looks at what is to become so.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again, for as long as patience lasts.
pub(crate) struct Looks {
    what: String,
    until: Instant,
}

impl Looks {
    #[expect(clippy::disallowed_methods, reason = "patience is of the wall clock")]
    pub(crate) fn for_(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            until: Instant::now() + PATIENCE,
        }
    }

    /// Before the next look; panics with the last one when patience ends.
    #[expect(clippy::disallowed_methods, reason = "patience is of the wall clock")]
    pub(crate) async fn again(&self, last: &str) {
        assert!(
            Instant::now() < self.until,
            "{} did not come within {PATIENCE:?}; last: {last}",
            self.what
        );
        tokio::time::sleep(LOOK).await;
    }
}

impl House {
    /// `/status`
    pub(crate) async fn status(&self) -> Value {
        let answer = Talk::to(self.admin).await.get("/status").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// What `/status` says of a model's first target; `Null` where nothing.
    pub(crate) async fn target(&self, model: &str) -> Value {
        named(&self.status().await["targets"], "model", model)
    }

    /// What `/status` says of a provider.
    pub(crate) async fn provider(&self, name: &str) -> Value {
        named(&self.status().await["providers"], "provider", name)
    }

    /// Asks for these models until the walk is this one; before that it may
    /// only be one of `meanwhile`.
    pub(crate) async fn asks_until(
        &self,
        models: &[&str],
        walk: &str,
        meanwhile: &[&str],
    ) -> Answer {
        let looks = Looks::for_(walk);
        let mut talk = self.talk().await;
        loop {
            let answer = talk.chat(models, false).await;
            if answer.walk() == walk {
                return answer;
            }
            assert!(
                meanwhile.contains(&answer.walk()),
                "{} before {walk}: {}",
                answer.walk(),
                answer.text()
            );
            looks.again(answer.walk()).await;
        }
    }

    /// Waits until the log has all that was said before: lines are written
    /// out in their order, by a thread of its own.
    pub(crate) async fn caught_up(&self) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = format!("caught-up-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut talk = self.talk().await;
        let line = format!("x-request-id: {id}");
        talk.request("GET", "/v1/models", &[&line], b"").await;
        talk.answer().await;
        self.logged(&id).await;
    }

    /// How many lines of the log have this in them.
    pub(crate) async fn lines(&self, text: &str) -> usize {
        self.caught_up().await;
        let log = self.log();
        log.iter().filter(|line| line.contains(text)).count()
    }
}

fn named(all: &Value, key: &str, name: &str) -> Value {
    let mut all = all.as_array().unwrap().iter();
    all.find(|one| one[key] == name)
        .cloned()
        .unwrap_or_default()
}

/// Whether this is a time as RFC 3339 has it, in UTC.
pub(crate) fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
    })
}
