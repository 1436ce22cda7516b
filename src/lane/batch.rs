//! From sample indices to the inputs of a model: gather, normalise, gate.

use super::forge::Forgery;
use crate::corrupt::Present;
use crate::data::prepare::Affine;
use crate::data::{Dataset, Labels};
use crate::model::{Input, Longest};
use tch::{Device, Kind, Tensor};

/// A data set on a device, shared by all runs.
#[derive(Debug)]
pub struct DeviceData {
    values: Vec<Tensor>,
    lengths: Vec<Option<Tensor>>,
    /// `[N]` classes, or `[N, C]` zeros and ones.
    labels: Tensor,
    multilabel: bool,
}

impl DeviceData {
    /// Uploads a data set.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn new(data: &Dataset, device: Device) -> crate::fault::Result<Self> {
        let upload = |tensor: Tensor| tensor.f_to_device(device);
        let mut values = Vec::new();
        let mut lengths = Vec::new();
        for modality in &data.modalities {
            let shape: Vec<i64> = modality.values.shape().iter().map(|&n| n as i64).collect();
            let standard = modality.values.as_standard_layout();
            let flat = standard.as_slice().unwrap_or_default();
            let tensor = Tensor::f_from_slice(flat)?.view(shape.as_slice());
            let wide = |l: &Vec<u32>| l.iter().map(|&n| i64::from(n)).collect::<Vec<_>>();
            let valid = modality.lengths.as_ref().map(|l| Tensor::from_slice(&wide(l)));
            // Whatever a file holds beyond a sample's length, convolutions must find zeros there.
            let tensor = match &valid {
                Some(lengths) => tensor.f_masked_fill(&below(lengths, shape[1]).eq(0.0).unsqueeze(-1), 0.0)?,
                None => tensor,
            };
            values.push(upload(tensor)?);
            lengths.push(valid.map(upload).transpose()?);
        }
        let labels = match &data.labels {
            Labels::Single(classes) => Tensor::from_slice(&classes.iter().map(|&c| i64::from(c)).collect::<Vec<_>>()),
            Labels::Multi(labels) => {
                let shape = [labels.nrows() as i64, labels.ncols() as i64];
                Tensor::from_slice(&labels.iter().copied().collect::<Vec<f32>>()).view(shape)
            }
        };
        Ok(Self { values, lengths, labels: upload(labels)?, multilabel: data.multilabel() })
    }

    /// Uploads the data that clients bring with them, one after another, and says which row each begins with; `None` where they
    /// bring none.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn brought(clients: &[Option<&Dataset>], device: Device) -> crate::fault::Result<Option<(Self, Vec<i64>)>> {
        let mut first = Vec::with_capacity(clients.len());
        let mut rows = 0;
        for client in clients {
            first.push(rows);
            rows += client.map_or(0, |data| data.len() as i64);
        }
        let each =
            clients.iter().flatten().map(|data| Self::new(data, device)).collect::<crate::fault::Result<Vec<_>>>()?;
        let Some(one) = each.first() else { return Ok(None) };
        let joined = |of: &dyn Fn(&Self) -> Tensor| Tensor::f_cat(&each.iter().map(of).collect::<Vec<_>>(), 0);
        let values = (0..one.values.len()).map(|m| joined(&|data| data.values[m].shallow_clone()));
        let all = Self {
            values: values.collect::<std::result::Result<_, _>>()?,
            lengths: one.lengths.iter().map(|_| None).collect(),
            labels: joined(&|data| data.labels.shallow_clone())?,
            multilabel: one.multilabel,
        };
        Ok(Some((all, first)))
    }

    /// Another handle on the same memory.
    pub fn share(&self) -> Self {
        Self {
            values: self.values.iter().map(Tensor::shallow_clone).collect(),
            lengths: self.lengths.iter().map(|l| l.as_ref().map(Tensor::shallow_clone)).collect(),
            labels: self.labels.shallow_clone(),
            multilabel: self.multilabel,
        }
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        self.labels.device()
    }

    /// Whether samples may have several labels.
    pub fn multilabel(&self) -> bool {
        self.multilabel
    }

    /// Number of modalities.
    pub fn modalities(&self) -> usize {
        self.values.len()
    }

    /// Clean labels of `rows [L, B]`: `[L, B]` classes or `[L, B, C]` zeros and ones.
    pub fn labels(&self, rows: &Tensor) -> Tensor {
        let mut shape = rows.size();
        shape.extend(&self.labels.size()[1..]);
        self.labels.index_select(0, &rows.flatten(0, -1)).view(shape.as_slice())
    }

    /// The inputs of `rows [L, B]`. `gates [M, L, B]` is 1 where a sample has a modality, `None` when all have all;
    /// `forgery` is what attackers put in place of values.
    pub(super) fn inputs(
        &self,
        rows: &Tensor,
        gates: Option<&Tensor>,
        affine: Option<&[DeviceAffine]>,
        forgery: Option<&Forgery>,
    ) -> Vec<Input> {
        let input = |m: usize| {
            let rows = read_from(rows, forgery, m);
            let mut input = self.input(m, &rows, gates.map(|g| g.get(m as i64)), affine.map(|a| &a[m]));
            if let Some((painted, ink)) = forgery.and_then(|forgery| forgery.painted.as_ref()) {
                ink.paint(m, &mut input, painted);
            }
            input
        };
        (0..self.values.len()).map(input).collect()
    }

    fn input(&self, m: usize, rows: &Tensor, present: Option<Tensor>, affine: Option<&DeviceAffine>) -> Input {
        let [lanes, batch] = [rows.size()[0], rows.size()[1]];
        let flat = rows.flatten(0, -1);
        let source = &self.values[m];
        let [time, width] = [source.size()[1], source.size()[2]];
        let mut values = source.index_select(0, &flat).view([lanes, batch, time, width]);
        let lengths = self.lengths[m].as_ref().map(|l| l.index_select(0, &flat).view([lanes, batch]));
        if let Some(affine) = affine {
            let lanes = lanes.min(affine.mean.size()[0]);
            let _ = values.g_sub_(&affine.mean.narrow(0, 0, lanes)).g_mul_(&affine.scale.narrow(0, 0, lanes));
            if let Some(lengths) = &lengths {
                let _ = values.g_mul_(&below(lengths, time).unsqueeze(-1));
            }
        }
        if let Some(present) = &present {
            let _ = values.g_mul_(&present.unsqueeze(-1).unsqueeze(-1));
        }
        Input { values, lengths, present, longest: None }
    }

    /// Steps of the longest sample of each batch, modality by modality, `[L, K, 1]`; `None` where all are as long as the array.
    /// Rows, and 1 where they stand for a sample, are `[L, K, B]`, gates `[M, L, K, B]`.
    pub(super) fn longest(
        &self,
        rows: &Tensor,
        real: &Tensor,
        gates: Option<&Tensor>,
        forgery: Option<&Forgery>,
    ) -> Vec<Option<Longest>> {
        let longest = |m: usize| {
            let lengths = self.lengths[m].as_ref()?;
            let rows = read_from(rows, forgery, m);
            let lengths = lengths.index_select(0, &rows.flatten(0, -1)).view(rows.size().as_slice());
            // What an absent sample counts as.
            let counted = |absent: i64| {
                let lengths = gates.map_or_else(
                    || lengths.shallow_clone(),
                    |gates| lengths.masked_fill(&gates.get(m as i64).eq(0.0), absent),
                );
                lengths.masked_fill(&real.eq(0.0), 0i64).amax([-1].as_slice(), true)
            };
            Some(Longest { all: counted(self.values[m].size()[1]), present: counted(0) })
        };
        (0..self.values.len()).map(longest).collect()
    }
}

/// The rows that modality `m` is read from.
fn read_from(rows: &Tensor, forgery: Option<&Forgery>, m: usize) -> Tensor {
    let donors = forgery.and_then(|forgery| forgery.donors.as_ref());
    donors.map_or_else(|| rows.shallow_clone(), |donors| donors.get(m as i64))
}

/// 1 for positions below a length, else 0: `[…]` to `[…, time]`.
fn below(lengths: &Tensor, time: i64) -> Tensor {
    let positions = Tensor::arange(time, (Kind::Int64, lengths.device()));
    positions.less_tensor(&lengths.unsqueeze(-1)).to_kind(Kind::Float)
}

/// Normalisation of one modality for a group of lanes.
#[derive(Debug)]
pub struct DeviceAffine {
    /// `[L, 1, 1, D]`
    mean: Tensor,
    /// `[L, 1, 1, D]`
    scale: Tensor,
}

/// The normalisations of a group of lanes, modality by modality: `None` when no lane has one, and mean 0 and scale 1 for a
/// lane without one among others.
pub fn upload_affine(lanes: &[Option<&[Affine]>], device: Device) -> Option<Vec<DeviceAffine>> {
    let some = lanes.iter().flatten().next()?;
    let none: Vec<Affine> =
        some.iter().map(|a| Affine { mean: vec![0.0; a.mean.len()], scale: vec![1.0; a.scale.len()] }).collect();
    let lanes: Vec<&[Affine]> = lanes.iter().map(|lane| lane.unwrap_or(&none)).collect();
    let stack = |m: usize, part: fn(&Affine) -> &[f32]| {
        let flat: Vec<f32> = lanes.iter().flat_map(|lane| part(&lane[m])).copied().collect();
        Tensor::from_slice(&flat).to_device(device).view([lanes.len() as i64, 1, 1, -1])
    };
    Some((0..some.len()).map(|m| DeviceAffine { mean: stack(m, |a| &a.mean), scale: stack(m, |a| &a.scale) }).collect())
}

/// Gates `[M, …]` of presence bits; `None` when everything is present.
pub fn gates(present: &[Present], modalities: usize, shape: &[i64], device: Device) -> Option<Tensor> {
    let all = Present::MAX >> (Present::BITS as usize - modalities);
    if present.iter().all(|bits| bits & all == all) {
        return None;
    }
    let flat: Vec<f32> = (0..modalities).flat_map(|m| present.iter().map(move |bits| (bits >> m & 1) as f32)).collect();
    let mut full = vec![modalities as i64];
    full.extend(shape);
    Some(Tensor::from_slice(&flat).to_device(device).view(full.as_slice()))
}
