//! What a model wants otherwise in a request's top-level members.

use bytes::Bytes;

/// Top-level members to leave out, to rename and to set, in this order:
/// first `drop`, then `rename`, then `set`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names of members that are left out.
    pub drop: Vec<Box<str>>,
    /// Old and new name. Where the new name is there already, that one stays
    /// and the old one is left out.
    pub rename: Vec<(Box<str>, Box<str>)>,
    /// Name and value, the value as JSON text; replaces a member of that name.
    pub set: Vec<(Box<str>, Bytes)>,
}

impl Edits {
    /// Whether the body may stay as it is.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.rename.is_empty() && self.set.is_empty()
    }

    /// Every member name that these edits read or write.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.drop
            .iter()
            .map(AsRef::as_ref)
            .chain(
                self.rename
                    .iter()
                    .flat_map(|(old, new)| [old.as_ref(), new.as_ref()]),
            )
            .chain(self.set.iter().map(|(name, _)| name.as_ref()))
    }
}
