//! `fltrust`: rows weighed by how far they agree with an update that the server makes on data of its own.
//!
//! Before the run the server takes its *root data* out of the training side: `samples` or a `share` of all training samples,
//! drawn from a stream of their own, or all samples of the named `clients`. It is clean, whatever corruption does to the
//! clients. Each round the server trains on it from the global weights as a client would, and
//! `Δ = Σ t_i (‖g‖ / ‖x_i‖) x_i / Σ t_i` with its update g and the trust `t_i = max(0, cos(x_i, g))`; zero where nobody is
//! trusted. No client moves the model by more than g does. Rows with a NaN or an infinity are not trusted.
//!
//! By hand: g = `[2, 0]`, rows `[3, 4]`, `[-1, 0]`: trust 0.6 and 0: `(2/5) [3, 4] = [1.2, 1.6]`.

use super::Rule;
use crate::aggregate::combine::combine;
use crate::aggregate::lengths::squared_norms;
use crate::aggregate::pieces::along_rows;
use crate::aggregate::{Known, Updates, sums};
use crate::fault::{About, Checker, Error, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Where the root data comes from: one of the three, or [`SAMPLES`] samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Training samples drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// The same as a share of all training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Names of clients that become the server's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
}

/// Samples drawn where nothing is said, as in the paper.
pub const SAMPLES: usize = 100;

impl Config {
    /// One of the three is given at most, and is in range.
    pub fn check(&self, c: &mut Checker) {
        let given = [self.samples.is_some(), self.share.is_some(), !self.clients.is_empty()];
        if given.iter().filter(|given| **given).count() > 1 {
            c.fault("", "takes its root data from more than one place", "one of samples, share and clients", "");
        }
        if let Some(samples) = self.samples {
            c.at_least("samples", samples, 1);
        }
        if let Some(share) = self.share
            && !(share > 0.0 && share < 1.0)
        {
            c.fault("share", "is no share of the samples", "a number above 0 and below 1", "");
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "fltrust",
    summary: "Weighs updates by how far they agree with the server's own, made on clean data that it keeps for itself.",
    formula: "sum_i t_i (|g| / |x_i|) x_i / sum_i t_i, t_i = max(0, cos(x_i, g)), g the server's update; 0 where nobody is trusted",
    source: "Cao et al., FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS 2021, Algorithm 2",
    parameters: &[
        Parameter {
            name: "samples",
            default: "100 samples",
            meaning: "training samples that the server draws and the clients lose, from 1",
        },
        Parameter {
            name: "share",
            default: "none",
            meaning: "the same as a share of all training samples, above 0 and below 1; instead of samples",
        },
        Parameter {
            name: "clients",
            default: "[]",
            meaning: "names of clients whose data becomes the server's; instead of samples",
        },
    ],
};

/// Trusts what agrees with the server.
#[derive(Debug)]
pub struct FlTrust;

impl Rule for FlTrust {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, _stream: &Stream) -> Result<Tensor> {
        let Some(root) = known.server() else {
            return Err(Error::Invalid(
                "fltrust needs the server's own update: in the shell give it by --server FILE (one row)".into(),
            ));
        };
        if root.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
            return Err(Error::Failed(
                "fltrust: the server's own update holds a NaN or an infinity; lower the clients' learning rate".into(),
            ));
        }
        fltrust(updates, root)
    }
}

/// `[P]` from the rows `[n, P]` and the server's own update `g [P]`.
///
/// # Errors
/// libtorch runs out of memory.
fn fltrust(updates: &Updates, root: &Tensor) -> Result<Tensor> {
    let root = root.f_to_device(updates.rows.device())?;
    let length = squared_norms(&root.f_unsqueeze(0)?)?[0].sqrt();
    let beside_root = if root.device() == Device::Cpu { beside_on_cpu } else { beside_on_gpu };
    let mut coefficients = vec![0.0; updates.len()];
    let mut total = 0.0;
    let beside =
        beside_root(&updates.rows, &root)?.into_iter().map(|[square, along]| (square.sqrt(), along)).enumerate();
    for (i, (norm, along)) in beside.filter(|(_, (norm, _))| *norm > 0.0 && norm.is_finite()) {
        let trust = if length > 0.0 { (along / (length * norm)).max(0.0) } else { 0.0 };
        coefficients[i] = trust * length / norm;
        total += trust;
    }
    coefficients.iter_mut().for_each(|c| *c = if total > 0.0 { *c / total } else { 0.0 });
    Ok(combine(&updates.rows, &[coefficients])?.f_squeeze_dim(0)?)
}

/// `‖x_i‖²` and `x_i · g` of each row.
fn beside_on_cpu(rows: &Tensor, root: &Tensor) -> Result<Vec<[f64; 2]>> {
    let root = Vec::<f32>::try_from(root)?;
    along_rows(rows, |piece, columns| [sums::squared_length(piece), sums::along(piece, &root[columns])])
}

fn beside_on_gpu(rows: &Tensor, root: &Tensor) -> Result<Vec<[f64; 2]>> {
    let root = root.f_to_kind(Kind::Double)?;
    let of_row = |(square, i)| {
        let along = rows.f_get(i)?.f_to_kind(Kind::Double)?.f_dot(&root)?.f_double_value(&[])?;
        Ok([square, along])
    };
    squared_norms(rows)?.into_iter().zip(0..).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, updates};
    use super::*;
    use crate::aggregate::numbers;

    #[test]
    fn by_hand() {
        let made = |rows: &[[f32; 2]], root: [f32; 2]| {
            numbers(&fltrust(&updates(rows), &Tensor::from_slice(&root)).unwrap()).unwrap()
        };
        close(&made(&[[3.0, 4.0], [-1.0, 0.0]], [2.0, 0.0]), &[1.2, 1.6]);
        close(&made(&[[-1.0, 0.0], [0.0, 0.0], [f32::INFINITY, 0.0]], [2.0, 0.0]), &[0.0, 0.0]);
    }

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_agree() {
        let rows = Tensor::from_slice(&(0..70).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>()).view([7, 10]);
        let root = rows.get(3) * 0.5;
        let (cpu, gpu) = (beside_on_cpu(&rows, &root).unwrap(), beside_on_gpu(&rows, &root).unwrap());
        assert!(cpu.iter().flatten().zip(gpu.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-12), "{cpu:?} {gpu:?}");
    }

    #[test]
    fn the_servers_update_is_needed_and_must_be_finite() {
        let updates = updates(&[[3.0, 4.0], [-1.0, 0.0]]);
        let error = FlTrust.aggregate(&updates, &Stream::root(0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "fltrust needs the server's own update: in the shell give it by --server FILE (one row)"
        );
        let made = |root: [f32; 2]| {
            let mut known = Known::new(None, Some(Tensor::from_slice(&root)));
            FlTrust.aggregate_known(&updates, &mut known, &Stream::root(0))
        };
        close(&numbers(&made([2.0, 0.0]).unwrap()).unwrap(), &[1.2, 1.6]);
        assert!(made([f32::NAN, 0.0]).unwrap_err().to_string().contains("the server's own update holds a NaN"));
    }

    #[test]
    fn ranges() {
        use super::super::testing::faults;
        assert_eq!(
            faults("fltrust = { samples = 0, share = 1.0 }", 5),
            [
                "fltrust takes its root data from more than one place",
                "fltrust.samples is too small",
                "fltrust.share is no share of the samples"
            ]
        );
        assert!(faults("fltrust = { clients = ['ann'] }", 5).is_empty());
    }
}
