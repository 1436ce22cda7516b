//! Arrays of an npz file as plain numbers; nothing here knows what they mean.
//!
//! A file may lie about itself, so the length of a header and the product of a shape are compared with the bytes that are
//! there before anything of that size is taken.

use crate::fault::{Error, Result};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, Order, TypeChar};
use std::io::{Read, Seek};

/// Bytes of an npy header at most.
pub(super) const LONGEST: usize = 2048;
/// Levels of brackets in it at most: those of an array with named fields that are arrays.
const DEEPEST: usize = 4;

/// An open npz file.
pub(super) struct Archive<R: Read + Seek> {
    inner: NpzArchive<R>,
    /// The file's name, for messages.
    file: String,
    /// Names of the arrays, in file order.
    pub names: Vec<String>,
}

/// An array's shape and its values, row-major.
#[derive(Debug)]
pub(super) struct Array<T> {
    pub shape: Vec<usize>,
    pub values: Vec<T>,
}

/// Values as a file may hold them.
enum Any {
    Float(Vec<f64>),
    Single(Vec<f32>),
    Integer(Vec<i64>),
    Text(Vec<String>),
}

impl<R: Read + Seek> Archive<R> {
    /// Opens a file.
    pub fn open(reader: R, file: &str) -> Result<Self> {
        let not_npz =
            |_| Error::Invalid(format!("{file}: is not an npz file; write one with numpy.savez_compressed(path, ...)"));
        let mut inner = NpzArchive::new(reader).map_err(not_npz)?;
        let zip = inner.zip_archive();
        let mut names = Vec::new();
        for i in 0..zip.len() {
            if let Ok(entry) = zip.by_index_raw(i) {
                names.extend(npyz::npz::array_name_from_file_name(entry.name()).map(str::to_string));
            }
        }
        Ok(Archive { inner, file: file.to_string(), names })
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// A fault of one array.
    pub fn wrong(&self, name: &str, problem: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("{}: array `{name}` {problem}", self.file))
    }

    /// Numbers as f32.
    pub fn floats(&mut self, name: &str) -> Result<Array<f32>> {
        let (shape, any, dtype) = self.any(name)?;
        let values = match any {
            Any::Single(v) => v,
            Any::Float(v) => v.into_iter().map(|x| x as f32).collect(),
            Any::Integer(v) => v.into_iter().map(|x| x as f32).collect(),
            Any::Text(_) => return Err(self.unsupported(name, &dtype, "numbers")),
        };
        Ok(Array { shape, values })
    }

    /// Whole numbers; floating-point arrays only where every value is whole.
    pub fn integers(&mut self, name: &str) -> Result<Array<i64>> {
        let (shape, any, dtype) = self.any(name)?;
        let values = match any {
            Any::Integer(v) => Some(v),
            Any::Float(v) => v.into_iter().map(whole).collect(),
            Any::Single(v) => v.into_iter().map(|x| whole(f64::from(x))).collect(),
            Any::Text(_) => None,
        };
        let values = values.ok_or_else(|| self.unsupported(name, &dtype, "whole numbers"))?;
        Ok(Array { shape, values })
    }

    /// Names: text as it is, whole numbers in decimal.
    pub fn texts(&mut self, name: &str) -> Result<Array<String>> {
        let (shape, any, dtype) = self.any(name)?;
        let values = match any {
            Any::Text(v) => v,
            Any::Integer(v) => v.into_iter().map(|x| x.to_string()).collect(),
            _ => return Err(self.unsupported(name, &dtype, "whole numbers or text")),
        };
        Ok(Array { shape, values })
    }

    fn unsupported(&self, name: &str, dtype: &str, wanted: &str) -> Error {
        self.wrong(name, format!("has dtype {dtype}; {wanted} are needed: convert it with .astype before saving"))
    }

    fn any(&mut self, name: &str) -> Result<(Vec<usize>, Any, String)> {
        let bytes = self.bytes(name)?;
        let damaged = |why: &str| self.wrong(name, format!("is damaged ({why}); write the file again"));
        check_header(&bytes, bytes.len()).map_err(damaged)?;
        let npy = NpyFile::new(&bytes[..]).map_err(|e| damaged(&e.to_string()))?;
        let shape: Vec<usize> = npy.shape().iter().map(|&d| d as usize).collect();
        let (order, dtype) = (npy.order(), npy.dtype());
        let descr = dtype.descr();
        let DType::Plain(plain) = &dtype else { return Err(self.unsupported(name, &descr, "plain numbers")) };
        let item = plain.num_bytes().unwrap_or(usize::MAX);
        let count: usize = shape.iter().product();
        if count.checked_mul(item).is_none_or(|needed| needed > bytes.len()) {
            let held = bytes.len();
            return Err(damaged(&format!("shape {shape:?} of {descr} does not fit in its {held} bytes")));
        }
        let read = |e: std::io::Error| damaged(&e.to_string());
        let any = match (plain.type_char(), plain.size_field()) {
            (TypeChar::Float, 4) => Any::Single(arrange(npy.into_vec().map_err(read)?, &shape, order)),
            (TypeChar::Float, 8) => Any::Float(arrange(npy.into_vec().map_err(read)?, &shape, order)),
            (TypeChar::UnicodeStr, _) => Any::Text(arrange(npy.into_vec().map_err(read)?, &shape, order)),
            (TypeChar::ByteStr, _) => {
                let texts = npy.into_vec::<Vec<u8>>().map_err(read)?;
                let texts = texts.iter().map(|t| String::from_utf8_lossy(t).trim_end_matches('\0').to_string());
                Any::Text(arrange(texts.collect(), &shape, order))
            }
            (kind, size) => match integers(npy, kind, size) {
                Some(values) => Any::Integer(arrange(values.map_err(read)?, &shape, order)),
                None => return Err(self.unsupported(name, &descr, "f32, f64, integers or text")),
            },
        };
        Ok((shape, any, descr))
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let outcome = match self.inner.zip_archive().by_name(&format!("{name}.npy")) {
            // What is there decides how much memory is taken, not what the directory says.
            Ok(mut entry) => entry.read_to_end(&mut bytes).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        outcome.map_err(|why| self.wrong(name, format!("cannot be read ({why}); write the file again")))?;
        Ok(bytes)
    }
}

fn integers(npy: NpyFile<&[u8]>, kind: TypeChar, size: u64) -> Option<std::io::Result<Vec<i64>>> {
    fn wide<T: npyz::Deserialize + Into<i64>>(npy: NpyFile<&[u8]>) -> std::io::Result<Vec<i64>> {
        Ok(npy.into_vec::<T>()?.into_iter().map(Into::into).collect())
    }
    Some(match (kind, size) {
        (TypeChar::Bool, _) => npy.into_vec::<bool>().map(|v| v.into_iter().map(i64::from).collect()),
        (TypeChar::Int, 1) => wide::<i8>(npy),
        (TypeChar::Int, 2) => wide::<i16>(npy),
        (TypeChar::Int, 4) => wide::<i32>(npy),
        (TypeChar::Int, 8) => wide::<i64>(npy),
        (TypeChar::Uint, 1) => wide::<u8>(npy),
        (TypeChar::Uint, 2) => wide::<u16>(npy),
        (TypeChar::Uint, 4) => wide::<u32>(npy),
        (TypeChar::Uint, 8) => {
            npy.into_vec::<u64>().map(|v| v.into_iter().map(|x| i64::try_from(x).unwrap_or(i64::MAX)).collect())
        }
        _ => return None,
    })
}

/// Row-major order, whatever the file's.
fn arrange<T: Clone>(values: Vec<T>, shape: &[usize], order: Order) -> Vec<T> {
    if order == Order::C {
        return values;
    }
    match ArrayD::from_shape_vec(IxDyn(shape).f(), values) {
        Ok(array) => array.iter().cloned().collect(),
        Err(_) => Vec::new(),
    }
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64)
}

/// How deep brackets nest at most.
fn nesting(header: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether the header at the beginning of an npy file is short, and its shape of a size that a file of `most` bytes could
/// hold: the reader multiplies and allocates what the header says.
pub(super) fn check_header(bytes: &[u8], most: usize) -> std::result::Result<(), &'static str> {
    let version = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', version, _, ..] => *version,
        _ => return Err("no npy header"),
    };
    let (start, length): (usize, usize) = match (version, bytes.get(8..12)) {
        (1, Some(l)) => (10, usize::from(u16::from_le_bytes([l[0], l[1]]))),
        (_, Some(l)) => (12, u32::from_le_bytes([l[0], l[1], l[2], l[3]]) as usize),
        _ => return Err("the header is cut off"),
    };
    let header = start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or("the header is cut off")?;
    // Headers of plain arrays are short; a long one could nest so deep that parsing it exhausts the stack.
    if length > LONGEST {
        return Err("the header is too long");
    }
    // Its parser tries every way to read what a bracket opens, which doubles its time and more with each level.
    if nesting(header) > DEEPEST {
        return Err("the header nests too deep");
    }
    let text = String::from_utf8_lossy(header);
    if text.matches("shape").count() != 1 {
        return Err("not one shape");
    }
    let shape = text.split("'shape':").nth(1).and_then(|rest| rest.trim_start().strip_prefix('('));
    let shape = shape.and_then(|rest| rest.split(')').next()).ok_or("no shape")?;
    let mut product = 1usize;
    for size in shape.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        let size: usize = size.parse().map_err(|_| "a size that is no number")?;
        product = product.checked_mul(size.max(1)).filter(|&p| p <= most).ok_or("a shape larger than the file")?;
    }
    Ok(())
}
