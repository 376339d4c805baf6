//! Fuzz entry for a damaged journal.

/// Whatever lies in the journal's place is read without a panic, a record
/// comes back as it was written, and damage costs no other.
pub fn journal(data: &[u8]) {
    crate::ledger::any_bytes(data);
}
