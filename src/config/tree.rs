//! Events of the YAML parser → a tree, without recursion and with a bound on
//! its size and depth, aliases included, so that no file can make it large or
//! deep. `${NAME}` is replaced here, in scalars that are already parsed.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::node::{Key, Node, Scalar, What};
use super::problem::{Found, Place, shown_key};
use super::variable;

/// Mappings and lists within each other. The schema needs six; the rest is
/// for what `request.set` may carry.
const MAX_DEPTH: usize = 48;
/// Values in the tree, those that aliases repeat counted each time. Ten
/// thousand models that say all there is to say have three quarters of it.
const MAX_NODES: usize = 600_000;
/// Bytes of text in the tree, that of aliases and variables counted each
/// time.
const MAX_TEXT: usize = 16 << 20;

/// Why and where reading stops.
pub(super) type Stop = (Place, String);

/// Variables of the environment, by name.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A list or mapping that is not closed yet.
struct Open {
    place: Place,
    /// The parser's number for its anchor; 0 for none.
    anchor: usize,
    /// Nodes and bytes of text that stood before it.
    before: (usize, usize),
    what: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        /// Line of each key.
        seen: HashMap<Arc<str>, usize>,
        /// The key whose value comes next.
        key: Waiting,
    },
}

enum Waiting {
    Key,
    Value(Key),
    /// A value that is left out, because something is wrong with its key.
    Dropped,
}

/// What an alias repeats.
struct Anchor {
    node: Node,
    nodes: usize,
    text: usize,
    /// Mappings and lists within each other, its own included.
    height: usize,
}

/// A tree that grows by one event after another.
pub(super) struct Tree<'a> {
    /// `None` for a file of somebody else's: `${…}` is then nothing special,
    /// and a merge key is a key.
    var: Option<Variables<'a>>,
    found: &'a mut Found,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Node>,
    nodes: usize,
    text: usize,
    documents: usize,
}

impl<'a> Tree<'a> {
    pub(super) fn new(var: Option<Variables<'a>>, found: &'a mut Found) -> Self {
        Self {
            var,
            found,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            text: 0,
            documents: 0,
        }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// Where it makes no sense to read on.
    pub(super) fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let why = "a second document begins here: a configuration is one document";
                    return Err((place, why.to_owned()));
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.scalar_is_plain(style, tag.as_deref(), place);
                self.scalar(&text, plain, anchor, place)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(tag.as_deref(), place);
                self.begin(place, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(tag.as_deref(), place);
                let map = Inside::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Waiting::Key,
                };
                self.begin(place, anchor, map)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    /// What has grown; nothing where there was no event but the stream's own.
    pub(super) fn root(self) -> Option<Node> {
        self.root
    }

    /// `!!str` makes text of anything; no other tag means anything here.
    fn scalar_is_plain(&mut self, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> bool {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => false,
            tag => {
                self.refuse(tag, place);
                style == ScalarStyle::Plain
            }
        }
    }

    fn refuse(&mut self, tag: Option<&Tag>, place: Place) {
        if tag.is_some() {
            let why = "tags have no meaning in a configuration: leave the `!…` out";
            self.found.add(place, why);
        }
    }

    /// Counts what has come, before memory is taken for it.
    fn count(&mut self, nodes: usize, text: usize, place: Place) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            let why = "the file has more than 600000 values or 16 MiB of text, \
                       counting what aliases and variables repeat";
            return Err((place, why.to_owned()));
        }
        Ok(())
    }

    fn deep(place: Place) -> Stop {
        let why = format!("more than {MAX_DEPTH} lists and mappings stand within each other");
        (place, why)
    }

    fn begin(&mut self, place: Place, anchor: usize, what: Inside) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Self::deep(place));
        }
        let before = (self.nodes, self.text);
        self.count(1, 0, place)?;
        self.open.push(Open {
            place,
            anchor,
            before,
            what,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let what = match open.what {
            Inside::List(nodes) => What::List(nodes),
            Inside::Map { entries, .. } => What::Map(entries),
        };
        let node = Node {
            place: open.place,
            what,
        };
        let (nodes, text) = open.before;
        self.remember(open.anchor, &node, self.nodes - nodes, self.text - text)?;
        self.put(node)
    }

    fn scalar(&mut self, text: &str, plain: bool, anchor: usize, place: Place) -> Result<(), Stop> {
        let key = matches!(
            self.open.last(),
            Some(Open {
                what: Inside::Map {
                    key: Waiting::Key,
                    ..
                },
                ..
            })
        );
        let what = match self.var {
            Some(var) if !key => variable::replace(text, var, MAX_TEXT - self.text),
            Some(_) | None => Ok((text.to_owned(), false)),
        };
        let (what, length) = match what {
            Ok((text, expanded)) => {
                let length = text.len();
                let text = text.into();
                let scalar = Scalar {
                    text,
                    plain,
                    expanded,
                };
                (What::Scalar(scalar), length)
            }
            Err(problems) => {
                for problem in problems {
                    self.found.add(place, problem);
                }
                (What::Unknown, 0)
            }
        };
        self.count(1, length, place)?;
        let node = Node { place, what };
        self.remember(anchor, &node, 1, length)?;
        self.put(node)
    }

    /// What an anchor keeps counts like a repetition: anchors within each
    /// other keep the innermost many times.
    fn remember(
        &mut self,
        anchor: usize,
        node: &Node,
        nodes: usize,
        text: usize,
    ) -> Result<(), Stop> {
        if anchor > 0 {
            self.count(nodes, 0, node.place)?;
            let anchored = Anchor {
                node: node.clone(),
                nodes,
                text,
                height: height(node),
            };
            self.anchors.insert(anchor, anchored);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let why = "this alias stands within its own anchor, so it would never end";
            return Err((place, why.to_owned()));
        };
        if self.open.len() + anchored.height > MAX_DEPTH {
            return Err(Self::deep(place));
        }
        let (nodes, text) = (anchored.nodes, anchored.text);
        self.count(nodes, text, place)?;
        let node = self
            .anchors
            .get(&anchor)
            .map(|anchored| anchored.node.clone());
        node.map_or(Ok(()), |node| self.put(node))
    }

    /// Gives a finished node to the list or mapping around it.
    fn put(&mut self, node: Node) -> Result<(), Stop> {
        let is_ours = self.var.is_some();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.what {
            Inside::List(nodes) => nodes.push(node),
            Inside::Map { entries, seen, key } => match std::mem::replace(key, Waiting::Key) {
                Waiting::Key => *key = admit(node, seen, is_ours, self.found),
                Waiting::Value(name) => entries.push((name, node)),
                Waiting::Dropped => {}
            },
        }
        Ok(())
    }
}

/// Whether a key may stand where it does.
fn admit(
    node: Node,
    seen: &mut HashMap<Arc<str>, usize>,
    is_ours: bool,
    found: &mut Found,
) -> Waiting {
    let place = node.place;
    let What::Scalar(Scalar { text, plain, .. }) = node.what else {
        found.add(place, "a key is plain text, not a list or a mapping");
        return Waiting::Dropped;
    };
    if is_ours && plain && &*text == "<<" {
        let why = "merge keys (`<<`) are not supported: write the keys out, \
                   or repeat the whole mapping by an alias";
        found.add(place, why);
        return Waiting::Dropped;
    }
    if let Some(first) = seen.get(&text) {
        let why = format!(
            "`{}` stands twice in this mapping, first in line {first}: remove one of the two",
            shown_key(&text)
        );
        found.add(place, why);
        return Waiting::Dropped;
    }
    seen.insert(Arc::clone(&text), place.line);
    Waiting::Value(Key { place, text })
}

/// Lists and mappings within each other; bounded by [`MAX_DEPTH`], like every
/// tree here.
fn height(node: &Node) -> usize {
    match &node.what {
        What::Scalar(_) | What::Unknown => 0,
        What::List(nodes) => 1 + nodes.iter().map(height).max().unwrap_or(0),
        What::Map(entries) => {
            1 + entries
                .iter()
                .map(|(_, node)| height(node))
                .max()
                .unwrap_or(0)
        }
    }
}
