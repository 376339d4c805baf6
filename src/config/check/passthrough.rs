//! Passthrough: paths that go to one provider as they are.

use super::model::Around;
use crate::config::meant::Provider;
use crate::config::passthrough::{Passthrough, Pattern, sort};
use crate::config::problem::{Found, shown_key};
use crate::config::shape::{Fields, text};
use crate::dialect::Kind;

/// Reads the entries, the longest patterns first.
pub(super) fn passthrough(
    root: &Fields<'_>,
    context: &Around<'_>,
    found: &mut Found,
) -> Vec<Passthrough> {
    let mut entries: Vec<Passthrough> = Vec::new();
    for (key, node) in root.pairs("passthrough", found) {
        let shown = format!("`{}`", shown_key(&key.text));
        let pattern = Pattern::read(&key.text)
            .map_err(|why| found.add(key.place, format!("{shown} {why}")))
            .ok();
        let what = format!("the provider of {shown}");
        let Some(name) = text(node, &what, found) else {
            continue;
        };
        let provider = context.provider(name, node.place, found).flatten();
        // One that is there and wrong is told where it stands.
        let (Some(pattern), Some(provider)) = (pattern, provider) else {
            continue;
        };
        if let Some(why) = unfit(&provider) {
            found.add(node.place, format!("{} {why}", name.shown()));
            continue;
        }
        entries.push(Passthrough::new(pattern, provider));
    }
    sort(&mut entries);
    entries
}

/// Why nothing can be passed through to a provider, if that is so.
fn unfit(provider: &Provider) -> Option<&'static str> {
    match provider.kind {
        Kind::OpenAi => None,
        Kind::Azure => Some(
            "is of kind `azure`, whose paths are its own: add a provider of kind `openai` with the base URL `https://NAME.openai.azure.com/openai/v1`",
        ),
    }
}
