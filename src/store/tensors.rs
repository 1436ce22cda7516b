//! Tensors as safetensors files: plain numbers and a text map, no code.

use crate::fault::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use tch::{Device, Kind, Tensor};

/// Named tensors, in an order of the caller's.
pub type Tensors = Vec<(String, Tensor)>;

/// The one metadata key: texts as JSON, so that equal tensors give equal bytes (safetensors writes its keys in any order).
const META: &str = "fedrobust";

/// Texts of our own: a hash of all else, and the order of the tensors (safetensors sorts them).
const HASH: &str = "hash";
const ORDER: &str = "order";

const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
];

/// Names, shapes, kinds and bytes of `tensors` and the texts of `meta` as one safetensors file.
pub(super) fn encode(tensors: &[(String, Tensor)], meta: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let failed = |what: String| Error::Failed(format!("cannot encode tensors: {what}"));
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let kind = tensor.f_kind()?;
        let Some((_, dtype)) = KINDS.iter().find(|(k, _)| *k == kind) else {
            return Err(failed(format!("{name} has kind {kind:?}, which safetensors does not know")));
        };
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_copy_data_u8(&mut bytes, tensor.numel())?;
        parts.push((name, *dtype, shape, bytes));
    }
    let mut views = Vec::with_capacity(parts.len());
    for (name, dtype, shape, bytes) in &parts {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| failed(e.to_string()))?));
    }
    let names: Vec<&str> = views.iter().map(|(name, _)| *name).collect();
    let mut meta = meta.clone();
    meta.insert(ORDER.into(), serde_json::to_string(&names).map_err(|e| failed(e.to_string()))?);
    meta.insert(HASH.into(), hash(&views, &meta));
    let meta = serde_json::to_string(&meta).map_err(|e| failed(e.to_string()))?;
    safetensors::serialize(views, Some(HashMap::from([(META.to_string(), meta)]))).map_err(|e| failed(e.to_string()))
}

/// Reads what [`encode`] wrote, onto the CPU; `None` when it is cut, changed or not ours.
pub(super) fn decode(bytes: &[u8]) -> Option<(Tensors, BTreeMap<String, String>)> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    let mut meta: BTreeMap<String, String> = serde_json::from_str(header.metadata().as_ref()?.get(META)?).ok()?;
    let order: Vec<String> = serde_json::from_str(meta.get(ORDER)?).ok()?;
    let views: Option<Vec<_>> = order.iter().map(|name| Some((name.as_str(), file.tensor(name).ok()?))).collect();
    let views = views?;
    if meta.remove(HASH)? != hash(&views, &meta) {
        return None;
    }
    meta.remove(ORDER);
    let mut tensors = Vec::with_capacity(views.len());
    for (name, view) in &views {
        let (kind, _) = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype())?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        tensors.push((name.to_string(), Tensor::f_from_data_size(view.data(), &shape, *kind).ok()?));
    }
    Some((tensors, meta))
}

/// Reads the tensors of a safetensors file that anybody may have written; `None` when it is none, or holds kinds other than
/// those we write.
pub(super) fn decode_plain(bytes: &[u8]) -> Option<Tensors> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let (kind, _) = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype())?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        tensors.push((name, Tensor::f_from_data_size(view.data(), &shape, *kind).ok()?));
    }
    Some(tensors)
}

fn hash(views: &[(&str, TensorView)], meta: &BTreeMap<String, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (name, view) in views {
        part(name.as_bytes());
        part(format!("{:?} {:?}", view.dtype(), view.shape()).as_bytes());
        part(view.data());
    }
    for (key, value) in meta {
        part(key.as_bytes());
        part(value.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Tensors, BTreeMap<String, String>) {
        let weights = Tensor::from_slice(&[1.5f32, -2.0, f32::NAN, 4.0]).reshape([2, 2]);
        let steps = Tensor::from_slice(&[7i64]);
        let tensors = vec![("weights".to_string(), weights), ("a.steps".to_string(), steps)];
        (tensors, BTreeMap::from([("round".to_string(), "12".to_string())]))
    }

    #[test]
    fn tensors_come_back_in_order_with_their_bits_and_their_texts() {
        let (tensors, meta) = sample();
        let (back, texts) = decode(&encode(&tensors, &meta).unwrap()).unwrap();
        assert_eq!(texts, meta);
        assert_eq!(back.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["weights", "a.steps"]);
        assert_eq!((back[0].1.size(), back[0].1.kind()), (vec![2, 2], Kind::Float));
        let bits = |t: &Tensor| Vec::<f32>::try_from(t.flatten(0, -1)).unwrap().iter().map(|x| x.to_bits()).collect();
        let (before, after): (Vec<u32>, Vec<u32>) = (bits(&tensors[0].1), bits(&back[0].1));
        assert_eq!(before, after);
        assert_eq!(back[1].1.int64_value(&[0]), 7);
    }

    #[test]
    fn equal_tensors_and_texts_give_equal_bytes() {
        let bytes = || {
            let (tensors, mut meta) = sample();
            meta.extend((0..20).map(|i| (format!("key {i}"), i.to_string())));
            encode(&tensors, &meta).unwrap()
        };
        let first = bytes();
        assert!((0..5).all(|_| bytes() == first));
    }

    #[test]
    fn a_view_that_is_not_contiguous_is_written_as_it_reads() {
        let transposed = Tensor::from_slice(&[1i64, 2, 3, 4]).reshape([2, 2]).transpose(0, 1);
        let bytes = encode(&[("t".into(), transposed)], &BTreeMap::new()).unwrap();
        let (back, _) = decode(&bytes).unwrap();
        assert_eq!(Vec::<i64>::try_from(back[0].1.flatten(0, -1)).unwrap(), [1, 3, 2, 4]);
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_not_read() {
        let (tensors, meta) = sample();
        let bytes = encode(&tensors, &meta).unwrap();
        for i in 0..bytes.len() {
            assert!(decode(&bytes[..i]).is_none(), "cut at {i}");
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(decode(&changed).is_none(), "changed at {i}");
        }
    }
}
