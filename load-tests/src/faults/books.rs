//! The ledger's rows beside what the clients have seen.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::load::Seen;
use crate::ask;

/// How the two compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) rows: u64,
    /// Rows of attempts that nobody had an answer of.
    pub(super) discarded: u64,
    /// Rows beyond the first of a request.
    pub(super) double: u64,
    /// Rows of requests that nobody has sent.
    pub(super) strange: u64,
    /// Requests whose end was seen and that have no row.
    pub(super) missing: u64,
    /// The same of those of which only a beginning was seen.
    pub(super) begun: u64,
}

impl Books {
    /// Reads the database.
    pub(super) fn of(database: &Path, seen: &[Seen]) -> Result<Self, String> {
        let tell = |error| format!("{}: {error}", database.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(database, flags).map_err(tell)?;
        let mut all = database
            .prepare("SELECT request_id FROM usage")
            .map_err(tell)?;
        let ids = all
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(tell)?;
        let ids: Result<Vec<_>, _> = ids.map(|id| id.map(|id| ask::number(&id))).collect();
        let discarded = "SELECT count(*) FROM discarded";
        let discarded = database.query_row(discarded, [], |row| row.get::<_, i64>(0));
        Ok(Self {
            discarded: discarded.map_err(tell)?.unsigned_abs(),
            ..Self::compare(ids.map_err(tell)?.into_iter(), seen)
        })
    }

    fn compare(ids: impl Iterator<Item = Option<u64>>, seen: &[Seen]) -> Self {
        let mut books = Self::default();
        let mut has_row = vec![false; seen.len()];
        for id in ids {
            books.rows += 1;
            let place = id.and_then(|id| has_row.get_mut(usize::try_from(id).ok()?));
            match place {
                Some(has_row) if *has_row => books.double += 1,
                Some(has_row) => *has_row = true,
                None => books.strange += 1,
            }
        }
        for (seen, has_row) in seen.iter().zip(has_row) {
            match (seen, has_row) {
                (Seen::Nothing, _) | (_, true) => {}
                (Seen::Beginning, false) => books.begun += 1,
                (Seen::End, false) => books.missing += 1,
            }
        }
        books
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_double_or_strange_is_counted() {
        let seen = [
            Seen::End,
            Seen::End,
            Seen::Beginning,
            Seen::Nothing,
            Seen::End,
        ];
        let ids = [Some(0), Some(4), Some(4), Some(9), None];
        let books = Books::compare(ids.into_iter(), &seen);
        let expected = Books {
            rows: 5,
            discarded: 0,
            double: 1,
            strange: 2,
            missing: 1,
            begun: 1,
        };
        assert_eq!(books, expected);
    }
}
