//! Layers with an explicit backward, stacked over lanes.
//!
//! Every layer works on `[L, …]`: lane l's samples meet lane l's weights. `forward` gives the output and what its
//! backward needs, `backward` takes the gradient of the output, writes the gradients of the weights straight into the
//! lane's flat gradient row (every slot is written on every call, nothing accumulates) and gives the gradient of the
//! input. Autograd is never used: its leaves and views cost more than these small models compute. A test holds every
//! backward against autograd.

pub mod attention;
pub mod conv;
pub mod dropout;
pub mod gru;
pub mod linear;
pub mod loss;

pub use attention::AttentionPool;
pub use conv::ConvBlock;
pub use dropout::Masks;
pub use gru::Gru;
pub use linear::Linear;

use tch::{Kind, Tensor};

/// Sum over one dimension, written into a (strided) view.
fn sum_into(out: &Tensor, x: &Tensor, dim: i64) {
    let _ = x.sum_intlist_out(out, [dim].as_slice(), false, Kind::Float);
}
