//! Health: when a target rests, and for how long.

use std::time::Duration;

use crate::base;
use crate::config::meant::Health;
use crate::config::problem::Found;
use crate::config::shape::Fields;

/// Live state counts in milliseconds.
const LEAST: Duration = Duration::from_millis(1);

/// A provider's own time is believed no longer than this either.
const MOST: Duration = Duration::from_hours(24);

/// Reads the section. What cannot be read is told, and stands as nothing.
pub(super) fn health(fields: &Fields<'_>, found: &mut Found) -> Health {
    let failures = fields.whole("failures", found).unwrap_or_default();
    let failure_ratio = share(fields, "failure_ratio", found).unwrap_or_default();
    let cooldown = period(fields, "cooldown", found);
    let max_cooldown = period(fields, "max_cooldown", found);
    if let (Some(first), Some(longest)) = (cooldown, max_cooldown)
        && longest < first
    {
        let unsaid = |name: &str| match (fields.node(name), fields.default(name)) {
            (None, Some(default)) => format!(", which is {default} where it is not written"),
            (Some(_), _) | (None, None) => String::new(),
        };
        let (node, why) = match fields.node("max_cooldown") {
            Some(node) => (
                Some(node),
                format!("`max_cooldown` is below `cooldown`{}", unsaid("cooldown")),
            ),
            None => (
                fields.node("cooldown"),
                format!(
                    "`cooldown` is above `max_cooldown`{}",
                    unsaid("max_cooldown")
                ),
            ),
        };
        found.add(node.map_or(fields.place, |node| node.place), why);
    }
    Health {
        failures: u8::try_from(failures).unwrap_or(u8::MAX),
        failure_ratio,
        cooldown: cooldown.unwrap_or_default(),
        max_cooldown: max_cooldown.unwrap_or_default(),
    }
}

/// A duration within the bounds; `None` where it is wrong, which is told.
fn period(fields: &Fields<'_>, name: &str, found: &mut Found) -> Option<Duration> {
    let Some((scalar, place)) = fields.scalar(name, found) else {
        return usual(fields, name, |text| base::duration(text).ok());
    };
    let why = match base::duration(&scalar.text) {
        Ok(period) if (LEAST..=MOST).contains(&period) => return Some(period),
        Ok(_) => format!("`{name}` lies between 1ms and 24h"),
        Err(error) => format!("`{name}` cannot be read: {error}"),
    };
    found.add(place, why);
    None
}

/// A number above 0 and up to 1; `None` where it is wrong, which is told.
fn share(fields: &Fields<'_>, name: &str, found: &mut Found) -> Option<f64> {
    let Some((scalar, place)) = fields.scalar(name, found) else {
        return usual(fields, name, |text| text.parse().ok());
    };
    let share = scalar.text.parse().ok().filter(|_| scalar.plain);
    let share = share.filter(|share| *share > 0.0 && *share <= 1.0);
    if share.is_none() {
        let why =
            format!("`{name}` is a number above 0 and up to 1, such as `0.5`, without quotes");
        found.add(place, why);
    }
    share
}

/// The table's default, where the key is not written; nothing where it is,
/// since its problem is told then.
fn usual<T>(fields: &Fields<'_>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    match fields.node(name) {
        Some(_) => None,
        None => fields.default(name).and_then(parse),
    }
}
