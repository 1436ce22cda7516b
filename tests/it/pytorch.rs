//! Weights and arrays that PyTorch wrote, in our layouts.

use fedrobust::model::Layout;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};

pub type Tensors = BTreeMap<String, Tensor>;

pub fn read(path: &Path) -> Tensors {
    Tensor::read_safetensors(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_iter().collect()
}

/// What a script in tests/fixtures wrote: `NAME.safetensors` and `NAME.json`.
pub fn fixture(name: &str) -> (Tensors, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    (read(&folder.join(format!("{name}.safetensors"))), serde_json::from_slice(&text).unwrap())
}

/// The flat row of a model, from tensors in PyTorch's layouts; `name` gives PyTorch's name of ours.
pub fn row(layout: &Layout, tensors: &Tensors, name: impl Fn(&str) -> String) -> Tensor {
    let flat = |entry: &fedrobust::model::layout::Entry| {
        let name = name(&entry.name);
        let tensor = tensors.get(&name).unwrap_or_else(|| panic!("no tensor {name}"));
        let ours = match tensor.dim() {
            1 => tensor.shallow_clone(),
            2 => tensor.transpose(0, 1),
            // `[O, C, 5]` to the order of a window's memory, `[5, C, O]`.
            _ => tensor.permute([2, 1, 0]),
        };
        assert_eq!(ours.numel() as i64, entry.shape.iter().product::<i64>(), "{name}");
        ours.reshape([-1])
    };
    Tensor::cat(&layout.entries.iter().map(flat).collect::<Vec<_>>(), 0)
}

/// `|found − expected| / |expected − start|`.
pub fn error_of_change(found: &Tensor, expected: &Tensor, start: &Tensor) -> f64 {
    let norm = |a: &Tensor, b: &Tensor| (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).norm().double_value(&[]);
    norm(found, expected) / norm(expected, start)
}
