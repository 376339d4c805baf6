//! The keys of `ledger`.

use super::{Form, Section, TIME, key, with};

/// What the section is for.
pub(super) const DOC: &str = "Where it is written down what each answered request used and cost. Without this section nothing is written; with it, even an empty one, everything is.";

pub(super) static LEDGER: Section = Section {
    name: "`ledger`",
    required: &[],
    keys: &[
        with(
            "path",
            Form::Path,
            "standin-usage.db",
            "A SQLite database, made where it is not there. What is not in it yet lies beside it, in the folder of that name and `.journal`. One process at a time writes it.",
        ),
        with(
            "on_error",
            Form::Choice(&["serve", "refuse"]),
            "serve",
            "What becomes of requests while records cannot be written: they are served, or refused.",
        ),
        key(
            "retention",
            TIME,
            "How long records are kept, at least 1h: `2160h` is 90 days. By default for ever.",
        ),
    ],
};
