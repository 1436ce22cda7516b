//! How NumPy pickles arrays and scalars: seven names with a fixed meaning.
//!
//! | name | makes |
//! |---|---|
//! | `numpy.dtype(code, …)`, state `(3, order, …)` | a type of numbers, and its byte order |
//! | `numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")`, state `(1, shape, dtype, fortran, bytes)` | an array |
//! | `numpy.core.numeric._frombuffer(bytes, dtype, shape, order)` | an array (protocol 5) |
//! | `numpy.core.multiarray.scalar(dtype, bytes)` | a number |
//! | `_codecs.encode(text, "latin1")` | bytes (protocol 2) |
//!
//! NumPy 2 calls `numpy.core` `numpy._core`.

use super::Node;
use std::cell::Cell;

/// A name that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Ndarray,
    Dtype,
    Reconstruct,
    FromBuffer,
    Scalar,
    Encode,
}

impl Symbol {
    pub fn named(module: &str, name: &str) -> Option<Self> {
        let module = module.replace("numpy._core", "numpy.core");
        Some(match (module.as_str(), name) {
            ("numpy", "ndarray") => Symbol::Ndarray,
            ("numpy", "dtype") => Symbol::Dtype,
            ("numpy.core.multiarray", "_reconstruct") => Symbol::Reconstruct,
            ("numpy.core.numeric", "_frombuffer") => Symbol::FromBuffer,
            ("numpy.core.multiarray", "scalar") => Symbol::Scalar,
            ("_codecs", "encode") => Symbol::Encode,
            _ => return None,
        })
    }
}

/// Kind of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `f4`, `f8`.
    Float,
    /// `i1` to `i8`.
    Int,
    /// `u1` to `u8`.
    Uint,
    /// `b1`.
    Bool,
}

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    pub kind: Kind,
    /// Bytes a number.
    pub size: usize,
    pub big: bool,
}

/// An array but for its numbers.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub fortran: bool,
    /// The value that holds its bytes.
    pub data: u32,
}

/// A NumPy array.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    pub(super) header: &'a Header,
    pub(super) data: &'a [u8],
    pub(super) budget: &'a Cell<usize>,
}

impl Array<'_> {
    /// Its shape; no axis for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Whether its numbers are columns first.
    pub fn fortran(&self) -> bool {
        self.header.fortran
    }

    /// Its numbers as they lie there, as f32; `None` where all arrays taken so far are larger than the file, which holds one of
    /// them several times by reference.
    pub fn floats(&self) -> Option<Vec<f32>> {
        self.budget.set(self.budget.get().checked_sub(self.data.len())?);
        let dtype = self.header.dtype;
        // Straight from f32, so that no NaN loses its bits on the way through f64.
        let one = |bytes: &[u8]| match (dtype.kind, dtype.size) {
            (Kind::Float, 4) => f32::from_bits(dtype.bits(bytes) as u32),
            _ => dtype.number(bytes) as f32,
        };
        Some(self.data.chunks_exact(dtype.size).map(one).collect())
    }
}

impl Dtype {
    fn named(code: &str) -> Option<Self> {
        let code = code.trim_start_matches(['<', '>', '=', '|']);
        let (kind, size) = match code {
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            "i1" => (Kind::Int, 1),
            "i2" => (Kind::Int, 2),
            "i4" => (Kind::Int, 4),
            "i8" => (Kind::Int, 8),
            "u1" => (Kind::Uint, 1),
            "u2" => (Kind::Uint, 2),
            "u4" => (Kind::Uint, 4),
            "u8" => (Kind::Uint, 8),
            "b1" => (Kind::Bool, 1),
            _ => return None,
        };
        Some(Self { kind, size, big: false })
    }

    fn bits(self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    fn number(self, bytes: &[u8]) -> f64 {
        let bits = self.bits(bytes);
        match (self.kind, self.size) {
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Int, size) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            (Kind::Uint | Kind::Bool, _) => bits as f64,
        }
    }

    fn scalar(self, bytes: &[u8]) -> Node {
        match self.kind {
            Kind::Float => Node::Float(self.number(bytes)),
            Kind::Bool => Node::Bool(self.bits(bytes) != 0),
            Kind::Uint if self.size == 8 => Node::Int(i64::try_from(self.bits(bytes)).unwrap_or(i64::MAX)),
            Kind::Int if self.size == 8 => Node::Int(self.bits(bytes) as i64),
            Kind::Int | Kind::Uint => Node::Int(self.number(bytes) as i64),
        }
    }
}

/// A two's-complement little-endian number of up to 64 bits.
pub(super) fn signed(bytes: &[u8]) -> Option<i64> {
    let Some(&last) = bytes.last() else { return Some(0) };
    let fill = if last >= 0x80 { 0xff } else { 0 };
    let (low, high) = bytes.split_at(bytes.len().min(8));
    let fits = high.iter().all(|&byte| byte == fill) && (high.is_empty() || (low[7] >= 0x80) == (fill == 0xff));
    let mut whole = [fill; 8];
    whole[..low.len()].copy_from_slice(low);
    fits.then(|| i64::from_le_bytes(whole))
}

type Made = Result<Node, String>;

/// What a call of a known name makes.
pub(super) fn call(nodes: &[Node], file: &[u8], symbol: Symbol, arguments: &[u32]) -> Made {
    let get = |i: usize| arguments.get(i).map(|&node| &nodes[node as usize]);
    match symbol {
        Symbol::Dtype => {
            let code = get(0).and_then(|code| string(code, file)).ok_or("names a dtype by what is no text")?;
            let unknown = || {
                let code = crate::data::shown(code);
                format!("has numbers of dtype {code}; f4, f8, i1 to i8, u1 to u8 and b1 are read")
            };
            Dtype::named(code).map(Node::Dtype).ok_or_else(unknown)
        }
        Symbol::Reconstruct if matches!(get(0), Some(Node::Symbol(Symbol::Ndarray))) => Ok(Node::Blank),
        Symbol::FromBuffer => {
            let (Some(&data), Some(Node::Dtype(dtype))) = (arguments.first(), get(1)) else {
                return Err("makes an array without bytes or dtype".to_string());
            };
            let fortran = get(3).and_then(|order| string(order, file)) == Some("F");
            array(nodes, *dtype, get(2), fortran, data)
        }
        Symbol::Scalar => match (get(0), get(1).and_then(|bytes| raw(bytes, file))) {
            (Some(Node::Dtype(dtype)), Some(bytes)) if bytes.len() == dtype.size => Ok(dtype.scalar(bytes)),
            _ => Err("makes a scalar of other bytes than its dtype has".to_string()),
        },
        Symbol::Ndarray | Symbol::Encode | Symbol::Reconstruct => Err("calls what cannot be called".to_string()),
    }
}

/// What setting the state of a value makes of it.
pub(super) fn state(nodes: &[Node], file: &[u8], of: u32, state: u32) -> Made {
    const OTHER: &str = "sets the state of an object; only that of NumPy's arrays is read";
    let Node::Tuple(state) = &nodes[state as usize] else { return Err(OTHER.to_string()) };
    let get = |i: usize| state.get(i).map(|&node| &nodes[node as usize]);
    match &nodes[of as usize] {
        Node::Dtype(dtype) => {
            let order = get(1).and_then(|order| string(order, file)).ok_or("gives a dtype no byte order")?;
            Ok(Node::Dtype(Dtype { big: order == ">", ..*dtype }))
        }
        Node::Blank => {
            let (Some(Node::Dtype(dtype)), Some(&data)) = (get(2), state.get(4)) else {
                return Err("makes an array without bytes or dtype".to_string());
            };
            let fortran = matches!(get(3), Some(Node::Bool(true) | Node::Int(1)));
            array(nodes, *dtype, get(1), fortran, data)
        }
        _ => Err(OTHER.to_string()),
    }
}

fn array(nodes: &[Node], dtype: Dtype, shape: Option<&Node>, fortran: bool, data: u32) -> Made {
    let sizes: Option<Vec<usize>> = match shape {
        Some(Node::Tuple(sizes)) if sizes.len() <= 8 => sizes
            .iter()
            .map(|&size| match &nodes[size as usize] {
                Node::Int(size) => usize::try_from(*size).ok(),
                _ => None,
            })
            .collect(),
        Some(Node::Int(size)) => usize::try_from(*size).ok().map(|size| vec![size]),
        _ => None,
    };
    let shape = sizes.ok_or("makes an array of a shape that is not up to 8 whole numbers")?;
    let held = match &nodes[data as usize] {
        Node::Bytes(range) => range.len(),
        Node::Decoded(bytes) => bytes.len(),
        _ => return Err("makes an array of what is not bytes (an array of objects?)".to_string()),
    };
    let needed = shape.iter().try_fold(dtype.size, |product, &size| product.checked_mul(size));
    if needed != Some(held) {
        return Err(format!("makes an array of shape {shape:?} with {} bytes a number from {held} bytes", dtype.size));
    }
    Ok(Node::Array(Header { shape, dtype, fortran, data }))
}

fn string<'a>(node: &Node, file: &'a [u8]) -> Option<&'a str> {
    match node {
        Node::Text(range) | Node::Bytes(range) => std::str::from_utf8(file.get(range.clone())?).ok(),
        _ => None,
    }
}

fn raw<'a>(node: &'a Node, file: &'a [u8]) -> Option<&'a [u8]> {
    match node {
        Node::Bytes(range) => file.get(range.clone()),
        Node::Decoded(bytes) => Some(bytes),
        _ => None,
    }
}
