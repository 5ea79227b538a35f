//! How large a value can be at most, and what it is as far as that is known before evaluation.

use crate::facts::{Field, Kind};
use tamarack_attest::release::{MOST_ENTRIES, MOST_TEXT};

/// Size of a value without what is in it.
pub(crate) const NODE: u64 = 4;
/// Bytes of text that count as much as one unit.
const BYTES: u64 = 16;

/// The worst case of a value.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub shape: Shape,
    /// Size with all that is in it: what it costs to copy or compare it.
    pub size: u64,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Not known.
    Any,
    Bool,
    Int,
    /// Text; what it says, if it was written so.
    Text(Option<String>),
    /// A fact.
    Fact(&'static Kind),
    /// A list of at most so many.
    List(u64, Box<Bound>),
    /// A map of at most so many.
    Map(u64, Box<Bound>),
}

/// The kinds of values that can never be equal to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basic {
    Bool,
    Int,
    Text,
    List,
    Map,
}

impl Basic {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "number",
            Self::Text => "text",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

/// Size of a text.
pub(crate) fn text_size(bytes: u64) -> u64 {
    NODE + bytes / BYTES + 1
}

fn size_of(kind: &Kind) -> u64 {
    let most = MOST_ENTRIES as u64;
    match kind {
        Kind::Bool | Kind::Int => NODE,
        Kind::Text => text_size(MOST_TEXT as u64),
        Kind::Word(words) => text_size(words.iter().map(|word| word.len() as u64).max().unwrap_or(0)),
        Kind::List(of) => NODE + most * size_of(of),
        Kind::Record(fields) => {
            let field = |field: &Field| text_size(field.name.len() as u64) + size_of(&field.kind);
            NODE + fields.iter().map(field).sum::<u64>()
        }
        Kind::Table(of) => NODE + most * (text_size(MOST_TEXT as u64) + size_of(of)),
    }
}

impl Bound {
    pub fn any(size: u64) -> Self {
        Self { shape: Shape::Any, size }
    }

    pub fn bool() -> Self {
        Self { shape: Shape::Bool, size: NODE }
    }

    pub fn int() -> Self {
        Self { shape: Shape::Int, size: NODE }
    }

    /// A text that is not known.
    pub fn text(size: u64) -> Self {
        Self { shape: Shape::Text(None), size }
    }

    pub fn fact(kind: &'static Kind) -> Self {
        let shape = match kind {
            Kind::Bool => Shape::Bool,
            Kind::Int => Shape::Int,
            Kind::Text => Shape::Text(None),
            Kind::Word(_) | Kind::List(_) | Kind::Record(_) | Kind::Table(_) => Shape::Fact(kind),
        };
        Self { shape, size: size_of(kind) }
    }

    /// What it is for sure; none if that is not known.
    pub fn basic(&self) -> Option<Basic> {
        match &self.shape {
            Shape::Any => None,
            Shape::Bool => Some(Basic::Bool),
            Shape::Int => Some(Basic::Int),
            Shape::Text(_) => Some(Basic::Text),
            Shape::List(..) => Some(Basic::List),
            Shape::Map(..) => Some(Basic::Map),
            Shape::Fact(kind) => Some(match kind {
                Kind::Bool => Basic::Bool,
                Kind::Int => Basic::Int,
                Kind::Text | Kind::Word(_) => Basic::Text,
                Kind::List(_) => Basic::List,
                Kind::Record(_) | Kind::Table(_) => Basic::Map,
            }),
        }
    }

    /// The texts that it can be, if they are known.
    pub fn words(&self) -> Option<&'static [&'static str]> {
        match self.shape {
            Shape::Fact(Kind::Word(words)) => Some(words),
            _ => None,
        }
    }

    /// The text that was written.
    pub fn literal(&self) -> Option<&str> {
        match &self.shape {
            Shape::Text(text) => text.as_deref(),
            _ => None,
        }
    }

    /// How often a loop over it turns at most, and what it turns over: elements of a list, keys of a map.
    pub fn turns(&self) -> (u64, Bound) {
        let key = Bound::text(text_size(MOST_TEXT as u64));
        match &self.shape {
            Shape::List(most, of) => (*most, (**of).clone()),
            Shape::Map(most, _) => (*most, Bound::any(self.size)),
            Shape::Fact(Kind::List(of)) => (MOST_ENTRIES as u64, Bound::fact(of)),
            Shape::Fact(Kind::Record(fields)) => (fields.len() as u64, key),
            Shape::Fact(Kind::Table(_)) => (MOST_ENTRIES as u64, key),
            // Whatever it is, each of what is in it has a size of its own.
            Shape::Any => (self.size / NODE, Bound::any(self.size)),
            Shape::Bool | Shape::Int | Shape::Text(_) | Shape::Fact(_) => (0, Bound::any(NODE)),
        }
    }

    /// What either of two values is.
    pub fn either(self, other: Self) -> Self {
        let size = self.size.max(other.size);
        let shape = match (self.shape, other.shape) {
            (Shape::Bool, Shape::Bool) => Shape::Bool,
            (Shape::Int, Shape::Int) => Shape::Int,
            (Shape::Text(_), Shape::Text(_)) => Shape::Text(None),
            (Shape::Map(a, left), Shape::Map(b, right)) => {
                Shape::Map(a.max(b), Box::new(left.either(*right)))
            }
            (Shape::List(a, left), Shape::List(b, right)) => {
                Shape::List(a.max(b), Box::new(left.either(*right)))
            }
            _ => Shape::Any,
        };
        Self { shape, size }
    }
}
