//! Python pickles that hold nothing but data: numbers, texts, bytes, lists, tuples, dictionaries and NumPy arrays, protocol 2
//! to 5.
//!
//! A pickle is a program. This machine (`machine.rs`) has no way to call anything: the seven names that NumPy needs to describe
//! an array are symbols with a fixed meaning (`numpy.rs`), and every other name is refused. Bytes and texts are borrowed from the
//! file, values that the file repeats by reference are kept once, and nothing here recurses, so memory stays within about a
//! hundred bytes a byte of the file whatever the file says. Lists that hold themselves and values nested deeper than
//! [`DEEPEST`] are refused. Every error gives the byte at which it was met.
//!
//! By hand: `80 02 5d 28 4b 05 4e 65 2e` is protocol 2, an empty list, a mark, 5, None, append, stop: `[5, None]`.
//!
//! Source: CPython's `pickletools` (opcodes); NEP 1 and `numpy/_core` (how arrays are pickled).

mod machine;
mod numpy;

pub use numpy::{Array, Kind};

use std::cell::Cell;

/// Levels of lists in lists at most.
pub const DEEPEST: usize = 64;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {problem}")]
pub struct Error {
    /// Offset from the start of the file.
    pub at: usize,
    /// What is wrong, as a phrase.
    pub problem: String,
}

/// A value, which refers to others by their number.
#[derive(Debug, Clone)]
enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A text, as bytes of the file that are UTF-8.
    Text(std::ops::Range<usize>),
    Bytes(std::ops::Range<usize>),
    /// Bytes that were written as a text in Latin-1 (protocol 2).
    Decoded(Vec<u8>),
    List(Vec<u32>),
    Tuple(Vec<u32>),
    Dict(Vec<(u32, u32)>),
    Symbol(numpy::Symbol),
    Dtype(numpy::Dtype),
    /// What `_reconstruct` makes, before its state is set.
    Blank,
    Array(numpy::Header),
}

/// A file that was read.
#[derive(Debug)]
pub struct Pickle<'a> {
    file: &'a [u8],
    nodes: Vec<Node>,
    root: u32,
    /// Bytes of arrays that may still be copied out: a value may be referred to any number of times.
    budget: Cell<usize>,
}

/// Reads a file.
///
/// # Errors
/// What is cut off, not of protocol 2 to 5, or builds anything but data.
pub fn read(file: &[u8]) -> Result<Pickle<'_>, Error> {
    machine::run(file)
}

/// A value of a pickle.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pickle: &'a Pickle<'a>,
    node: &'a Node,
}

impl<'a> Pickle<'a> {
    /// The whole.
    pub fn root(&'a self) -> View<'a> {
        self.view(self.root)
    }

    fn view(&'a self, node: u32) -> View<'a> {
        View { pickle: self, node: &self.nodes[node as usize] }
    }
}

impl<'a> View<'a> {
    /// Items of a list or tuple.
    pub fn items(&self) -> Option<Vec<View<'a>>> {
        match self.node {
            Node::List(items) | Node::Tuple(items) => Some(items.iter().map(|&item| self.pickle.view(item)).collect()),
            _ => None,
        }
    }

    /// Number of items of a list or tuple.
    pub fn len(&self) -> Option<usize> {
        match self.node {
            Node::List(items) | Node::Tuple(items) => Some(items.len()),
            _ => None,
        }
    }

    /// Whether it is a list or tuple without items.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Pairs of a dictionary.
    pub fn pairs(&self) -> Option<Vec<(View<'a>, View<'a>)>> {
        match self.node {
            Node::Dict(pairs) => {
                Some(pairs.iter().map(|&(key, value)| (self.pickle.view(key), self.pickle.view(value))).collect())
            }
            _ => None,
        }
    }

    /// A text, or bytes that are one (what Python 2 wrote).
    pub fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(range) | Node::Bytes(range) => std::str::from_utf8(self.pickle.file.get(range.clone())?).ok(),
            _ => None,
        }
    }

    /// A whole number; a boolean is 0 or 1, as in Python.
    pub fn int(&self) -> Option<i64> {
        match self.node {
            Node::Int(value) => Some(*value),
            Node::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<f64> {
        match self.node {
            Node::Float(value) => Some(*value),
            _ => self.int().map(|value| value as f64),
        }
    }

    /// Whether it is None.
    pub fn is_none(&self) -> bool {
        matches!(self.node, Node::None)
    }

    /// A NumPy array.
    pub fn array(&self) -> Option<Array<'a>> {
        match self.node {
            Node::Array(header) => {
                let data = match &self.pickle.nodes[header.data as usize] {
                    Node::Bytes(range) => self.pickle.file.get(range.clone())?,
                    Node::Decoded(bytes) => bytes,
                    _ => return None,
                };
                Some(Array { header, data, budget: &self.pickle.budget })
            }
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match self.node {
            Node::None => "None",
            Node::Bool(_) => "a boolean",
            Node::Int(_) => "a whole number",
            Node::Float(_) => "a number",
            Node::Text(_) => "a text",
            Node::Bytes(_) | Node::Decoded(_) => "bytes",
            Node::List(_) => "a list",
            Node::Tuple(_) => "a tuple",
            Node::Dict(_) => "a dictionary",
            Node::Array(_) => "an array",
            Node::Symbol(_) | Node::Dtype(_) | Node::Blank => "a piece of NumPy",
        }
    }
}

#[cfg(test)]
mod tests;
