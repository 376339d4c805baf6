//! What the admin port says.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::line::{Answer, Line};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of it.
#[derive(Debug)]
pub(super) struct Admin {
    at: SocketAddr,
    line: Option<Line>,
}

impl Admin {
    pub(super) fn of(at: SocketAddr) -> Self {
        Self { at, line: None }
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.at))
            .await
    }

    /// Asks for a reload; the answer's status.
    pub(super) async fn reload(&mut self) -> Result<u16, String> {
        let at = self.at;
        let request = format!("POST /-/reload HTTP/1.1\r\nhost: {at}\r\ncontent-length: 0\r\n\r\n");
        Ok(self.ask(&request).await?.status)
    }

    async fn ask(&mut self, request: &str) -> Result<Answer, String> {
        let exchange = async {
            let mut line = match self.line.take() {
                Some(line) => line,
                None => Line::to(self.at).await?,
            };
            let answer = line.exchange(request.as_bytes()).await?;
            if !answer.closes() {
                self.line = Some(line);
            }
            Ok(answer)
        };
        let late = |_| format!("no answer within {PATIENCE:?}");
        let answer = timeout(PATIENCE, exchange).await.map_err(late).flatten();
        answer.map_err(|why: String| {
            let line = request.lines().next().unwrap_or_default();
            format!("admin port, {line}: {why}")
        })
    }

    /// All samples of this name and with this in their labels, added up.
    pub(super) async fn metric(&mut self, name: &str, label: &str) -> Result<u64, String> {
        let answer = self.get("/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body);
        Ok(sum(&text, name, label))
    }
}

/// All samples of this name and with this in their labels, added up.
pub(super) fn sum(text: &str, name: &str, label: &str) -> u64 {
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        (is_it && labels.contains(label)).then(|| value.parse::<u64>().ok())?
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_added_up() {
        let text = "# HELP a b\na{l=\"x\"} 3\na{l=\"y\"} 4\na_total 9\nb 7\n";
        assert_eq!(sum(text, "a", ""), 7);
        assert_eq!(sum(text, "a", "\"y\""), 4);
        assert_eq!(sum(text, "b", ""), 7);
        assert_eq!(sum(text, "c", ""), 0);
    }
}
