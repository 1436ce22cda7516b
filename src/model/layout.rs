//! Where every weight lies in a lane's flat row.
//!
//! A model's weights are one row `[P]`, the weights of L lanes a matrix `[L, P]`. Layers hold [`Slot`]s and look through
//! them at the matrix (and at the gradients, which have the same layout), so that optimisers and aggregation see plain
//! rows and nothing is ever copied between the two pictures.

use crate::seed::Stream;
use rand::Rng;
use tch::Tensor;

/// A piece of the flat row, seen as a tensor.
#[derive(Debug, Clone)]
pub struct Slot {
    offset: i64,
    shape: Vec<i64>,
}

impl Slot {
    /// The view `[L, shape…]` of flat rows `[L, P]`; shares memory with them.
    pub fn of(&self, rows: &Tensor) -> Tensor {
        let mut shape = vec![rows.size()[0]];
        shape.extend(&self.shape);
        rows.narrow(1, self.offset, self.shape.iter().product()).view(shape.as_slice())
    }

    /// The piece of a flat row `[P]`.
    pub fn within<'a>(&self, row: &'a [f32]) -> &'a [f32] {
        &row[self.offset as usize..][..self.shape.iter().product::<i64>() as usize]
    }

    /// Writes numbers to the one flat row `[1, P]`, from this piece on.
    pub fn write_from(&self, rows: &Tensor, numbers: &[f32]) {
        let mut place = rows.narrow(1, self.offset, numbers.len() as i64);
        place.copy_(&Tensor::from_slice(numbers).unsqueeze(0));
    }

    /// As [`Slot::of`] for a bias `[O]`, shaped `[L, 1, O]` to add to rows.
    pub fn bias(&self, rows: &Tensor) -> Tensor {
        self.of(rows).unsqueeze(1)
    }
}

/// One named weight of a model.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name, for example `gyroscope.gru.weight_ih`.
    pub name: String,
    /// The part of the model it belongs to: a modality's name, `fusion` or `head`.
    pub block: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Offset in the flat row.
    pub offset: i64,
    /// Initial values are uniform in ±bound (PyTorch's defaults).
    bound: f64,
}

/// A part of a model that can be aggregated by itself: the encoder of one modality, or what all modalities share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The modality's name, or [`SHARED`].
    pub name: String,
    /// The modality whose encoder it is; none for what all share.
    pub modality: Option<usize>,
    /// First weight in the flat row.
    pub offset: i64,
    /// Number of weights.
    pub len: i64,
}

/// Name of the block of fusion and head.
pub const SHARED: &str = "fusion";

/// All weights of a model, in order.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The weights, ascending by offset.
    pub entries: Vec<Entry>,
    block: String,
    total: i64,
}

impl Layout {
    /// What is added from here on belongs to this block.
    pub fn enter(&mut self, block: &str) {
        self.block = block.to_string();
    }

    /// Adds a weight with uniform initial values in `±1/√fan`.
    pub fn add(&mut self, name: &str, shape: &[i64], fan: i64) -> Slot {
        let offset = self.total;
        self.total += shape.iter().product::<i64>();
        self.entries.push(Entry {
            name: format!("{}.{name}", self.block),
            block: self.block.clone(),
            shape: shape.to_vec(),
            offset,
            bound: 1.0 / (fan as f64).sqrt(),
        });
        Slot { offset, shape: shape.to_vec() }
    }

    /// Number of weights P.
    pub fn len(&self) -> i64 {
        self.total
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The blocks in order, one after another over the whole row: an encoder a modality, then fusion and head together.
    pub fn blocks(&self, modalities: &[String]) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for entry in &self.entries {
            let modality = modalities.iter().position(|name| *name == entry.block);
            let len = entry.shape.iter().product::<i64>();
            match blocks.last_mut() {
                Some(block) if block.modality == modality => block.len += len,
                _ => {
                    let name = modality.map_or(SHARED, |m| &modalities[m]).to_string();
                    blocks.push(Block { name, modality, offset: entry.offset, len });
                }
            }
        }
        blocks
    }

    /// Initial weights `[P]`: every weight from a stream of its own, so that a layer added later moves no other.
    pub fn init(&self, stream: &Stream) -> Vec<f32> {
        let mut row = Vec::with_capacity(self.total as usize);
        for entry in &self.entries {
            let mut rng = stream.named(&entry.name).rng();
            let count = entry.shape.iter().product::<i64>();
            row.extend((0..count).map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * entry.bound) as f32));
        }
        row
    }

    /// The weights of one row by name, for model files.
    pub fn split(&self, row: &Tensor) -> Vec<(String, Tensor)> {
        let view = |e: &Entry| row.narrow(0, e.offset, e.shape.iter().product()).view(e.shape.as_slice());
        self.entries.iter().map(|e| (e.name.clone(), view(e))).collect()
    }
}
