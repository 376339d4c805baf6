//! Headers as they go out.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a head that goes out, in their order: written one after the
/// other and seldom looked for, so not hashed as a [`HeaderMap`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<(HeaderName, HeaderValue)>);

impl Lines {
    /// None, with room for some.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Puts one behind the others, of which some may have the same name.
    pub fn push(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Puts one in the place of all others of its name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.push(name, value);
    }

    /// Takes all of a name out.
    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(own, _)| own != name);
    }

    /// The first of a name.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find(|(own, _)| *own == name).map(|line| line.1)
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> + Clone {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All of them, whatever their names.
impl From<Lines> for HeaderMap {
    fn from(lines: Lines) -> Self {
        let mut map = Self::with_capacity(lines.len());
        for (name, value) in lines.0 {
            map.append(name, value);
        }
        map
    }
}

impl<'a> FromIterator<(&'a HeaderName, &'a HeaderValue)> for Lines {
    fn from_iter<I: IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>>(lines: I) -> Self {
        let copied = |(name, value): (&HeaderName, &HeaderValue)| (name.clone(), value.clone());
        Self(lines.into_iter().map(copied).collect())
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, TE};

    use super::*;

    const ONE: HeaderValue = HeaderValue::from_static("1");
    const TWO: HeaderValue = HeaderValue::from_static("2");

    #[test]
    fn a_name_may_stand_there_twice_until_it_is_set() {
        let mut lines = Lines::default();
        lines.push(TE, ONE);
        lines.push(ACCEPT, ONE);
        lines.push(TE, TWO);
        assert_eq!((lines.len(), lines.get(&TE)), (3, Some(&ONE)));
        assert_eq!(HeaderMap::from(lines.clone()).get_all(TE).iter().count(), 2);
        lines.set(TE, TWO);
        let all: Vec<_> = lines.iter().collect();
        assert_eq!(all, [(&ACCEPT, &ONE), (&TE, &TWO)]);
        lines.remove(&ACCEPT);
        assert!(!lines.contains(&ACCEPT) && !lines.is_empty());
    }
}
