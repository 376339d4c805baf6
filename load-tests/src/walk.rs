//! `x-standin-attempts`, taken apart.

/// What happened at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The candidate.
    pub(crate) name: String,
    /// A status, an outcome, or `skipped:` and why.
    pub(crate) word: String,
}

/// All of them, in order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk(Vec<Entry>);

impl Entry {
    /// Why it was passed over, where it was.
    pub(crate) fn skip(&self) -> Option<&str> {
        self.word.strip_prefix("skipped:")
    }
}

impl Walk {
    /// Takes the header's value.
    pub(crate) fn read(header: &str) -> Result<Self, String> {
        let entry = |text: &str| {
            let (name, word) = text
                .rsplit_once('=')
                .ok_or_else(|| format!("no walk: {header:?}"))?;
            Ok(Entry {
                name: name.to_owned(),
                word: word.to_owned(),
            })
        };
        header
            .split(", ")
            .map(entry)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// How attempts ended.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = &str> {
        let attempts = self.entries().filter(|entry| entry.skip().is_none());
        attempts.map(|entry| entry.word.as_str())
    }

    /// Why candidates were passed over.
    pub(crate) fn skips(&self) -> impl Iterator<Item = &str> {
        self.entries().filter_map(Entry::skip)
    }

    /// How the last attempt ended.
    pub(crate) fn last_word(&self) -> &str {
        self.0.last().map_or("", |entry| &entry.word)
    }

    /// Why this candidate was passed over, where it was.
    pub(crate) fn skip_of(&self, name: &str) -> Option<&str> {
        self.of(name).find_map(Entry::skip)
    }

    /// Whether this candidate answered.
    pub(crate) fn is_served_by(&self, name: &str) -> bool {
        self.of(name).any(|entry| entry.word == "200")
    }

    /// How many attempts at this candidate failed.
    pub(crate) fn failed_at(&self, name: &str) -> usize {
        let failed = |entry: &&Entry| entry.skip().is_none() && entry.word != "200";
        self.of(name).filter(failed).count()
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries().filter(move |entry| entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_tells_attempts_and_skips_apart() {
        let walk = Walk::read("a/m=429, b/m=skipped:open, c/m=200").unwrap();
        assert_eq!(walk.attempts().collect::<Vec<_>>(), ["429", "200"]);
        assert_eq!(walk.skips().collect::<Vec<_>>(), ["open"]);
        assert_eq!(walk.skip_of("b/m"), Some("open"));
        assert_eq!((walk.failed_at("a/m"), walk.failed_at("b/m")), (1, 0));
        assert!(walk.is_served_by("c/m") && !walk.is_served_by("b/m"));
        assert!(Walk::read("nonsense").is_err());
    }
}
