//! Forged values of samples: rows of donors, and paint over the first steps of a modality.

use crate::corrupt::{Forged, Paint, Samples};
use crate::model::Input;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// What is forged in the samples of a group of lanes.
#[derive(Debug)]
pub(super) struct Forgery {
    /// Rows that each modality is read from, `[M, L, …]`.
    pub donors: Option<Tensor>,
    /// 1 for painted samples, `[L, …]`, and the paint of each lane.
    pub painted: Option<(Tensor, Ink)>,
}

/// The paint of a group of lanes, by modality; `None` where no lane paints it.
#[derive(Debug)]
pub(super) struct Ink(Vec<Option<Strokes>>);

/// `[L]` each: painted steps, and their value.
#[derive(Debug)]
struct Strokes {
    steps: Tensor,
    value: Tensor,
}

impl Ink {
    /// From the paint of each lane; `None` where nobody paints.
    pub fn new(lanes: &[&[Paint]], modalities: usize, device: Device) -> Option<Self> {
        lanes.iter().any(|paint| !paint.is_empty()).then(|| {
            let upload = |values: Vec<f32>| Tensor::from_slice(&values).to_device(device);
            let strokes = |m: usize| {
                let of = |paint: &&[Paint]| paint.iter().find(|paint| paint.modality == m).copied();
                lanes.iter().any(|lane| of(lane).is_some()).then(|| Strokes {
                    steps: upload(lanes.iter().map(|lane| of(lane).map_or(0.0, |p| p.steps as f32)).collect()),
                    value: upload(lanes.iter().map(|lane| of(lane).map_or(0.0, |p| p.value)).collect()),
                })
            };
            Self((0..modalities).map(strokes).collect())
        })
    }

    fn take(&self, lanes: i64) -> Self {
        let take = |strokes: &Strokes| Strokes {
            steps: strokes.steps.narrow(0, 0, lanes),
            value: strokes.value.narrow(0, 0, lanes),
        };
        Self(self.0.iter().map(|strokes| strokes.as_ref().map(take)).collect())
    }

    /// Paints modality `m` of the samples that are `painted [L, B]`; never beyond a sample's length, nor what is absent.
    pub fn paint(&self, m: usize, input: &mut Input, painted: &Tensor) {
        let Some(Strokes { steps, value }) = &self.0[m] else { return };
        let [lanes, _, time, _] = <[i64; 4]>::try_from(input.values.size()).unwrap_or([0; 4]);
        let positions = Tensor::arange(time, (Kind::Float, painted.device())).view([1, 1, time]);
        let mut mask = positions.less_tensor(&steps.view([lanes, 1, 1])).to_kind(Kind::Float) * painted.unsqueeze(-1);
        if let Some(lengths) = &input.lengths {
            mask *= positions.less_tensor(&lengths.unsqueeze(-1)).to_kind(Kind::Float);
        }
        if let Some(present) = &input.present {
            mask *= present.unsqueeze(-1);
        }
        let mask = mask.unsqueeze(-1);
        let value = value.view([lanes, 1, 1, 1]);
        let _ = input.values.g_mul_(&(1.0 - &mask)).g_add_(&(mask * value));
    }
}

/// What a lane fills of a schedule.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    pub samples: &'a Samples,
    /// Cells, each with the position of its sample; only where samples are forged.
    pub cells: Vec<(usize, usize)>,
    /// The row of the group's data that is the lane's row 0.
    pub first: i64,
}

impl Forgery {
    /// What is forged in these lanes; `rows` are the rows of all cells. `None` where nobody forges, which is every run without
    /// an attack on data.
    pub fn new(lanes: &[Filled], rows: &[i64], modalities: usize, device: Device) -> Option<Self> {
        let forged: Vec<Option<&Arc<Forged>>> = lanes.iter().map(|lane| lane.samples.forged.as_ref()).collect();
        if forged.iter().all(Option::is_none) {
            return None;
        }
        let mut donors = forged.iter().flatten().any(|f| f.donors.is_some()).then(|| rows.repeat(modalities));
        let mut painted = vec![0.0_f32; rows.len()];
        for (forged, lane) in forged.iter().zip(lanes) {
            let Some(forged) = forged else { continue };
            for &(cell, position) in &lane.cells {
                painted[cell] = f32::from(forged.painted.get(position).copied().unwrap_or(false));
                if let (Some(donors), Some((m, rows_of))) = (&mut donors, &forged.donors) {
                    donors[m * rows.len() + cell] = lane.first + i64::from(rows_of[position]);
                }
            }
        }
        let paint: Vec<&[Paint]> = forged.iter().map(|f| f.map_or(&[][..], |f| &f.paint)).collect();
        let ink = Ink::new(&paint, modalities, device);
        Some(Self {
            donors: donors.map(|donors| Tensor::from_slice(&donors).to_device(device)),
            painted: ink.map(|ink| (Tensor::from_slice(&painted).to_device(device), ink)),
        })
    }

    /// The same laid out as `[L, S, B]`.
    pub fn view(self, modalities: usize, shape: [i64; 3]) -> Self {
        let [lanes, steps, batch] = shape;
        Self {
            donors: self.donors.map(|donors| donors.view([modalities as i64, lanes, steps, batch])),
            painted: self.painted.map(|(painted, ink)| (painted.view(shape), ink)),
        }
    }

    /// One step of the first `active` lanes, of it the first `real` samples.
    pub fn at(&self, active: i64, step: i64, real: i64) -> Self {
        let at = |cells: &Tensor, lanes: i64| {
            cells.narrow(lanes, 0, active).select(lanes + 1, step).narrow(lanes + 1, 0, real)
        };
        Self {
            donors: self.donors.as_ref().map(|donors| at(donors, 1)),
            painted: self.painted.as_ref().map(|(painted, ink)| (at(painted, 0), ink.take(active))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::{self, ModalityConfig};
    use crate::lane::batch::DeviceData;
    use std::collections::BTreeMap;

    /// Two modalities: `a` a series of 4 steps, `b` pooled.
    fn data() -> DeviceData {
        let modality = |time| ModalityConfig { time, width: 2, informativeness: 0.5 };
        let modalities = BTreeMap::from([("a".to_string(), modality(Some(4))), ("b".to_string(), modality(None))]);
        let config = synthetic::Config { samples: 30, modalities, ..synthetic::Config::default() };
        DeviceData::new(&synthetic::generate(&config), Device::Cpu).unwrap()
    }

    fn rows(values: &[i64]) -> Tensor {
        Tensor::from_slice(values).view([2, 2])
    }

    fn samples(rows: &[u32], forged: Option<Forged>) -> Samples {
        let (n, forged) = (rows.len(), forged.map(Arc::new));
        Samples { rows: rows.to_vec(), labels: vec![0; n], present: vec![3; n], forged, own: None }
    }

    /// A lane whose forged samples fill the first cells.
    fn filled(samples: &Samples, first: i64) -> Filled<'_> {
        let cells = if samples.forged.is_some() { vec![(0, 0), (1, 1)] } else { vec![] };
        Filled { samples, cells, first }
    }

    /// Two lanes of one step of two samples each, of which the first lane forges.
    fn inputs(forged: Forged, gates: Option<&Tensor>) -> Vec<Input> {
        let (bad, good) = (samples(&[3, 4], Some(forged)), samples(&[5, 6], None));
        let lanes = [filled(&bad, 0), filled(&good, 0)];
        let forgery = Forgery::new(&lanes, &[3, 4, 5, 6], 2, Device::Cpu).unwrap().view(2, [2, 1, 2]).at(2, 0, 2);
        data().inputs(&rows(&[3, 4, 5, 6]), gates, None, Some(&forgery))
    }

    #[test]
    fn nobody_forges_in_a_run_without_an_attack() {
        assert!(Forgery::new(&[filled(&samples(&[1], None), 0)], &[1], 2, Device::Cpu).is_none());
        assert!(Ink::new(&[&[], &[]], 2, Device::Cpu).is_none());
    }

    #[test]
    fn donors_give_one_modality_of_one_lane() {
        let honest = data().inputs(&rows(&[3, 4, 5, 6]), None, None, None);
        let swapped = data().inputs(&rows(&[4, 3, 5, 6]), None, None, None);
        let made = inputs(Forged { donors: Some((0, vec![4, 3])), ..Forged::default() }, None);
        assert_eq!((&made[0].values, &made[1].values), (&swapped[0].values, &honest[1].values));
    }

    #[test]
    fn donors_count_from_where_the_lanes_data_begins() {
        let honest = data().inputs(&rows(&[13, 14, 5, 6]), None, None, None);
        let swapped = data().inputs(&rows(&[14, 13, 5, 6]), None, None, None);
        let forged = Forged { donors: Some((0, vec![4, 3])), ..Forged::default() };
        let (bad, good) = (samples(&[3, 4], Some(forged)), samples(&[5, 6], None));
        let lanes = [filled(&bad, 10), filled(&good, 0)];
        let forgery = Forgery::new(&lanes, &[13, 14, 5, 6], 2, Device::Cpu).unwrap().view(2, [2, 1, 2]).at(2, 0, 2);
        let made = data().inputs(&rows(&[13, 14, 5, 6]), None, None, Some(&forgery));
        assert_eq!((&made[0].values, &made[1].values), (&swapped[0].values, &honest[1].values));
    }

    #[test]
    fn a_batch_that_is_not_full_is_forged_as_far_as_it_goes() {
        let forged = Forged {
            donors: Some((0, vec![4, 3])),
            painted: vec![false, true],
            paint: vec![Paint { modality: 1, steps: 1, value: 7.0 }],
        };
        let (bad, good) = (samples(&[3, 4], Some(forged)), samples(&[5, 6], None));
        let lanes = [filled(&bad, 0), filled(&good, 0)];
        let forgery = || Forgery::new(&lanes, &[3, 4, 5, 6], 2, Device::Cpu).unwrap().view(2, [2, 1, 2]);
        let rows = rows(&[3, 4, 5, 6]);
        let full = data().inputs(&rows, None, None, Some(&forgery().at(2, 0, 2)));
        let part = data().inputs(&rows.narrow(1, 0, 1), None, None, Some(&forgery().at(2, 0, 1)));
        for (part, full) in part.iter().zip(&full) {
            assert_eq!(part.values, full.values.narrow(1, 0, 1));
        }
    }

    #[test]
    fn paint_covers_the_first_steps_of_painted_samples_alone() {
        let honest = data().inputs(&rows(&[3, 4, 5, 6]), None, None, None);
        let paint = vec![Paint { modality: 0, steps: 3, value: 7.0 }];
        let made = inputs(Forged { painted: vec![false, true], paint, donors: None }, None);
        let expected = honest[0].values.copy();
        let _ = expected.get(0).get(1).narrow(0, 0, 3).fill_(7.0);
        assert_eq!((&made[0].values, &made[1].values), (&expected, &honest[1].values));
    }

    #[test]
    fn what_is_absent_is_not_painted() {
        let gates = Tensor::from_slice(&[1.0_f32, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).view([2, 2, 2]);
        let honest = data().inputs(&rows(&[3, 4, 5, 6]), Some(&gates), None, None);
        let paint = vec![Paint { modality: 0, steps: usize::MAX, value: 7.0 }];
        let made = inputs(Forged { painted: vec![true, true], paint, donors: None }, Some(&gates));
        assert_eq!(made[0].values.get(0).get(1), honest[0].values.get(0).get(1));
        assert_eq!(made[0].values.get(0).get(0), Tensor::full([4, 2], 7.0, (Kind::Float, Device::Cpu)));
    }
}
