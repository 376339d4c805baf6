//! What a misspelt name may have meant.

use super::keys::Section;
use super::problem::shown_key;

/// What to say of a key that is not in the table.
pub(super) fn unknown(name: &str, section: &Section) -> String {
    let known = section.keys.iter().map(|key| key.name);
    if let Some((start, _)) = name.split_once(':')
        && section.key(start).is_some()
    {
        return format!("a blank stands after a key's colon: `{start}: …`");
    }
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown key `{}`; did you mean `{near}`?", shown_key(name)),
        None => {
            let known: Vec<&str> = known.collect();
            let (name, what) = (shown_key(name), section.name);
            format!(
                "unknown key `{name}`; the keys of {what} are {}",
                known.join(", ")
            )
        }
    }
}

/// The known name that is most like this one, if any is like it at all.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name: Vec<char> = name.chars().take(65).map(plain).collect();
    if name.len() > 64 {
        return None;
    }
    // A third of it wrong is still a slip; more is another word.
    let most = (name.len() / 3).max(1);
    known
        .filter(|known| known.len().abs_diff(name.len()) <= most + 8 && known.len() <= 64)
        .take(1000)
        .map(|known| (distance(&name, known), known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// Letters to insert, leave out, replace, or swap with their neighbour; case
/// and the kind of dash count for nothing.
fn distance(a: &[char], known: &str) -> usize {
    let b: Vec<char> = known.chars().map(plain).collect();
    // Three rows of the table: before last, last, and the one being made.
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    let mut row = older.clone();
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (old[j - 1] + change).min(old[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(older[j - 2] + 1);
            }
            row[j] = least;
        }
        std::mem::swap(&mut older, &mut old);
        std::mem::swap(&mut old, &mut row);
    }
    old[b.len()]
}

fn plain(c: char) -> char {
    if c == '-' {
        '_'
    } else {
        c.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let known = ["connect_timeout", "first_token_timeout", "idle_timeout"];
        for (slip, meant) in [
            ("first_tokn_timeout", Some("first_token_timeout")),
            ("Idle-Timeout", Some("idle_timeout")),
            ("idel_timeout", Some("idle_timeout")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, known.into_iter()), meant, "{slip}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known.into_iter()), None);
    }
}
