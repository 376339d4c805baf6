//! Ledger: where usage is written down, and for how long.

use std::path::Path;
use std::time::Duration;

use crate::config::meant::{Ledger, OnError};
use crate::config::problem::Found;
use crate::config::shape::Fields;

/// Old records go by whole hours.
const LEAST: Duration = Duration::from_hours(1);

/// Reads the section; `None` where it is not written.
pub(super) fn ledger(root: &Fields<'_>, found: &mut Found) -> Option<Ledger> {
    root.node("ledger")?;
    let fields = root.section("ledger", found);
    let path = match fields.text("path", found) {
        Some((path, _)) => &*path.text,
        None => fields.default("path").unwrap_or_default(),
    };
    let on_error = match fields.choice("on_error", found) {
        Some("refuse") => OnError::Refuse,
        _ => OnError::Serve,
    };
    let retention = fields.duration("retention", found);
    if let Some(node) = fields.node("retention")
        && retention.is_some_and(|retention| retention < LEAST)
    {
        found.add(node.place, "`retention` is at least 1h");
    }
    Some(Ledger {
        path: Path::new(path).to_owned(),
        on_error,
        retention,
    })
}
