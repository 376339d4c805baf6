//! The ledger's rows beside what the clients have seen.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::load::Seen;
use crate::ask;

/// How the two compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) rows: u64,
    /// Rows of attempts that nobody had an answer of, where the client was told
    /// of them.
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
        let mut attempts = database
            .prepare("SELECT request_id FROM discarded")
            .map_err(tell)?;
        let attempts = attempts
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(tell)?;
        let attempts: Result<Vec<_>, _> =
            attempts.map(|id| id.map(|id| ask::number(&id))).collect();
        Ok(Self {
            discarded: told(attempts.map_err(tell)?.into_iter(), seen),
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

/// How many of these attempts are of requests whose walk was seen.
fn told(ids: impl Iterator<Item = Option<u64>>, seen: &[Seen]) -> u64 {
    let is_told = |id: &Option<u64>| {
        let seen = id.and_then(|id| seen.get(usize::try_from(id).ok()?));
        seen.is_none_or(|seen| *seen != Seen::Nothing)
    };
    ids.filter(is_told).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_requests_without_an_answer_are_left_out() {
        let seen = [Seen::Nothing, Seen::Beginning, Seen::End];
        let ids = [0, 0, 1, 2, 2].map(Some);
        assert_eq!(told(ids.into_iter(), &seen), 3);
    }

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
