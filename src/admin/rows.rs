//! `GET /-/usage?after=SEQ`: the ledger's rows as NDJSON.

use std::path::Path;

use crate::ledger::Reader;

/// What a wrong query is told.
pub(super) const USAGE: &str =
    "The query is `after=SEQ`, the last row's number, and may have `limit=ROWS`, 1 to 10000.";

/// Rows in one answer, where nothing else is asked.
const USUAL: usize = 1000;
const MOST: usize = 10_000;

/// Which rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    after: u64,
    limit: usize,
}

impl Asked {
    /// Reads a query; nothing where it is wrong.
    pub(super) fn read(query: Option<&str>) -> Option<Self> {
        let mut asked = Self {
            after: 0,
            limit: USUAL,
        };
        let parts = query.unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            match name {
                "after" => asked.after = value.parse().ok()?,
                "limit" => asked.limit = value.parse().ok()?,
                _ => return None,
            }
        }
        (1..=MOST).contains(&asked.limit).then_some(asked)
    }

    /// The rows, each with its line's end.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(super) fn rows(self, ledger: &Path) -> Result<String, String> {
        let page = Reader::open(ledger)?.after(self.after, self.limit)?;
        let mut lines = String::new();
        for row in page.rows {
            lines.push_str(&row);
            lines.push('\n');
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_a_number_and_perhaps_a_limit() {
        let asked = |after, limit| Some(Asked { after, limit });
        assert_eq!(Asked::read(None), asked(0, USUAL));
        assert_eq!(Asked::read(Some("after=7")), asked(7, USUAL));
        assert_eq!(Asked::read(Some("limit=5&after=7")), asked(7, 5));
        for wrong in [
            "after",
            "after=x",
            "after=-1",
            "limit=0",
            "limit=10001",
            "key=a",
        ] {
            assert_eq!(Asked::read(Some(wrong)), None, "{wrong}");
        }
    }
}
