//! One client: one request after the other, on one connection while it lasts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::ask::Ask;
use crate::line::Line;
use crate::verdict::verdict;
use crate::walk::Walk;

/// How long one answer may take: three silent attempts and a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    at: SocketAddr,
    /// The connection, where the last answer left one.
    line: Option<Line>,
}

impl Client {
    pub(crate) fn of(at: SocketAddr) -> Self {
        Self { at, line: None }
    }

    /// The walk that led to the right answer, or what was wrong with it.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Result<Walk, String> {
        let asked = timeout(PATIENCE, self.exchange(ask)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Walk, String> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Line::to(self.at).await?,
        };
        let answer = line.exchange(&ask.bytes).await?;
        let walk = verdict(ask, &answer).map_err(|why| {
            format!(
                "{why}\n  {:?}\n  {}",
                answer.headers,
                String::from_utf8_lossy(&answer.body)
            )
        })?;
        if !answer.closes() {
            self.line = Some(line);
        }
        Ok(walk)
    }
}
