//! Records of the `log` crate as lines: their sentence, and in JSON their
//! fields as well. In text the sentence says it all.

use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, LevelFilter, Metadata, Record};

use super::line::Line;

/// The message of a record that is not ours.
pub(super) const KEPT_BACK: &str = "a library says something that may quote what nobody may read";

/// The crate whose records are written.
const OURS: &str = "standin";

/// Whether a record is the house's own.
pub(super) fn is_ours(of: &Metadata<'_>) -> bool {
    of.target().split("::").next() == Some(OURS)
}

/// Whether a record of a library is told of: that there was one, and where in
/// its source, to whoever looks for details.
pub(super) fn may_be_placed(of: &Metadata<'_>) -> bool {
    !is_ours(of) && of.level() <= Level::Warn && log::max_level() >= LevelFilter::Debug
}

/// Where a record comes from. Both are part of the program.
pub(super) fn place(line: &mut Line<'_>, record: &Record<'_>) {
    if let Some(module) = record.module_path_static() {
        line.text("module", module);
    }
    if let Some(number) = record.line() {
        line.number("line", number.into());
    }
}

/// A record's fields.
pub(super) fn fill(line: &mut Line<'_>, record: &Record<'_>) {
    if line.is_json() {
        // Writing to memory cannot fail.
        let _ = record.key_values().visit(&mut Fields(line));
    }
}

struct Fields<'a, 'b>(&'a mut Line<'b>);

impl<'kvs> VisitSource<'kvs> for Fields<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        value.visit(Field(self.0, key.as_str()))
    }
}

struct Field<'a, 'b, 'k>(&'a mut Line<'b>, &'k str);

impl<'v> VisitValue<'v> for Field<'_, '_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0.text(self.1, &value.to_string());
        Ok(())
    }

    /// What is not known is not there.
    fn visit_null(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0.number(self.1, value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.0.flag(self.1, value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.0.text(self.1, value);
        Ok(())
    }
}
