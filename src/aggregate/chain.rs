//! A chain: pre-aggregators and the rule behind them, over the whole rows or over one block of them.
//!
//! By hand: rows `[1 | 10]`, `[3 | 20]`, `[5 | 0]` with two blocks of one weight, of which the third client owns only the
//! first: the mean is 3 in the first block, over three rows, and 15 in the second, over two.

use super::pre::Pre;
use super::rule::Rule;
use super::{Known, Senders, State, TooFew, Updates, prefixed, stripped};
use crate::fault::{Error, Result};
use crate::model::Block;
use crate::seed::Stream;
use tch::Tensor;

/// Pre-aggregators and a rule with its state.
pub struct Chain {
    /// The block it acts on; none for whole rows.
    pub block: Option<Block>,
    /// Pre-aggregators, first to last.
    pub pre: Vec<Box<dyn Pre>>,
    /// The rule.
    pub rule: Box<dyn Rule>,
}

impl Chain {
    /// One delta from the rows of those who own the block, `[P]` or its part of `[P]`; none where the round leaves the block
    /// as it is: nobody owns it, or there are too few rows and the policy says to skip.
    ///
    /// # Errors
    /// As a member, with the block's name in front.
    pub(super) fn aggregate(
        &mut self,
        updates: Updates,
        senders: &Senders,
        too_few: TooFew,
        stream: &Stream,
    ) -> Result<Option<Tensor>> {
        let owners = self.owners(updates.len(), senders);
        if owners.is_empty() {
            return Ok(None);
        }
        let rows = self.rows(&updates.rows, &owners)?;
        let seen = Updates { rows, samples: owners.iter().map(|&i| updates.samples[i]).collect() };
        drop(updates);
        let clients = senders.clients.map(|clients| owners.iter().map(|&i| clients[i]).collect());
        let server = senders.server.map(|row| self.part(row)).transpose()?;
        let mut known = Known::new(clients, server);
        match self.apply(seen, &mut known, stream) {
            Ok(delta) => Ok(Some(delta)),
            Err(Error::TooFew(_)) if too_few == TooFew::Skip => Ok(None),
            Err(error) => Err(self.named(error)),
        }
    }

    fn apply(&mut self, mut updates: Updates, known: &mut Known, stream: &Stream) -> Result<Tensor> {
        let stream = match &self.block {
            Some(block) => &stream.named("block").named(&block.name),
            None => stream,
        };
        for (place, pre) in self.pre.iter_mut().enumerate() {
            updates = pre.apply_known(updates, known, &stream.named("pre").at(place as u64))?;
        }
        self.rule.aggregate_known(&updates, known, &stream.named("rule"))
    }

    /// The rows whose clients own the block.
    pub(super) fn owners(&self, rows: usize, senders: &Senders) -> Vec<usize> {
        let modality = self.block.as_ref().and_then(|block| block.modality);
        match (modality, senders.owned) {
            (Some(modality), Some(owned)) => (0..rows).filter(|&i| owned[i] >> modality & 1 == 1).collect(),
            _ => (0..rows).collect(),
        }
    }

    /// The owners' part of the rows: a view, unless rows between them are left out.
    fn rows(&self, rows: &Tensor, owners: &[usize]) -> Result<Tensor> {
        let part = match &self.block {
            Some(block) => rows.f_narrow(1, block.offset, block.len)?,
            None => rows.shallow_clone(),
        };
        let (first, last) = (owners[0], owners[owners.len() - 1]);
        if last - first + 1 == owners.len() {
            return Ok(part.f_narrow(0, first as i64, owners.len() as i64)?);
        }
        let index: Vec<i64> = owners.iter().map(|&i| i as i64).collect();
        Ok(part.f_index_select(0, &Tensor::f_from_slice(&index)?.f_to_device(rows.device())?)?)
    }

    /// The block's part of `[P]`, a view.
    pub(super) fn part(&self, row: &Tensor) -> Result<Tensor> {
        Ok(match &self.block {
            Some(block) => row.f_narrow(0, block.offset, block.len)?,
            None => row.shallow_clone(),
        })
    }

    fn named(&self, error: Error) -> Error {
        let Some(Block { name, .. }) = &self.block else { return error };
        match error {
            Error::Failed(text) => Error::Failed(format!("block {name}: {text}")),
            Error::TooFew(text) => Error::TooFew(format!("block {name}: {text}")),
            other => other,
        }
    }

    /// What the names of its state begin with: `rule.`, or `block.NAME.rule.`.
    fn prefix(&self) -> String {
        self.scope("rule.")
    }

    /// The same for what else belongs to the block.
    pub(super) fn scope(&self, what: &str) -> String {
        self.block.as_ref().map_or(String::new(), |block| format!("block.{}.", block.name)) + what
    }

    /// The rule's state.
    pub(super) fn state(&self) -> State {
        prefixed(&self.prefix(), self.rule.state())
    }

    /// Takes its state out of a pipeline's.
    pub(super) fn restore(&mut self, state: &State) {
        self.rule.restore(stripped(&self.prefix(), state));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pipeline, numbers};
    use super::*;
    use crate::strategy::Custom;
    use proptest::prelude::*;

    /// Chains whose members look at single weights, at lengths, at distances and at histories, with and without a state.
    const CHAINS: [&str; 9] = [
        "",
        "aggregate.median = {}",
        "aggregate.trimmed-mean = { f = 1 }",
        "aggregate.multi-krum = { f = 1, neighbours = 'n-f-1' }",
        "aggregate.geometric-median = {}",
        "aggregate.centered-clipping = { tau = 2.0 }",
        "aggregate.foolsgold = {}",
        "pre = [{ clip = { norm = 9.0 } }, { nnm = { f = 1 } }]\naggregate.trimmed-mean = { f = 1 }",
        "aggregate.dnc = { f = 1 }\nserver.adam = {}",
    ];

    /// Encoders of two and three weights, and four that all share.
    fn blocks() -> Vec<Block> {
        let block = |name: &str, modality, offset, len| Block { name: name.into(), modality, offset, len };
        vec![block("a", Some(0), 0, 2), block("b", Some(1), 2, 3), block("fusion", None, 5, 4)]
    }

    fn build(text: &str, per_block: bool) -> Pipeline {
        let custom: Custom = toml::from_str(&format!("per-block = {per_block}\ntoo-few = 'skip'\n{text}")).unwrap();
        custom.build(0.1, &blocks())
    }

    fn matrix(rows: &[Vec<f32>]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1])
    }

    /// A round, in which client i sends row i.
    fn round(pipeline: &mut Pipeline, rows: &Tensor, owned: &[u32], at: u64) -> (Vec<f64>, usize) {
        let clients: Vec<u64> = (0..owned.len() as u64).collect();
        let samples = clients.iter().map(|&i| 1.0 + i as f64).collect();
        let updates = Updates { rows: rows.shallow_clone(), samples };
        let senders = Senders { clients: Some(&clients), owned: Some(owned), server: None };
        let start = Tensor::from_slice(&[0.5_f32; 9]);
        let stepped = pipeline.step_of(&start, updates, &senders, &Stream::root(7).at(at)).unwrap();
        (numbers(&stepped.weights).unwrap(), stepped.stayed)
    }

    /// 5 to 9 rows of 9 weights, and who owns the first two blocks.
    fn cases() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<u32>)> {
        (5..=9_usize).prop_flat_map(|n| {
            let rows = prop::collection::vec(prop::collection::vec(-10.0_f32..10.0, 9), n);
            (rows, prop::collection::vec(0..4_u32, n))
        })
    }

    #[test]
    fn by_hand() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 10.0], [3.0, 20.0], [5.0, 0.0]]);
        let blocks: Vec<Block> = ["a", "b"]
            .iter()
            .enumerate()
            .map(|(m, name)| Block { name: name.to_string(), modality: Some(m), offset: m as i64, len: 1 })
            .collect();
        let custom: Custom = toml::from_str("per-block = true").unwrap();
        let senders = Senders { clients: None, owned: Some(&[3, 3, 1]), server: None };
        let zero = Tensor::from_slice(&[0.0_f32, 0.0]);
        let updates = Updates { rows, samples: vec![1.0; 3] };
        let stepped = custom.build(0.1, &blocks).step_of(&zero, updates, &senders, &Stream::root(0)).unwrap();
        assert_eq!((numbers(&stepped.weights).unwrap(), stepped.stayed), (vec![3.0, 15.0], 0));
    }

    #[test]
    fn a_block_that_nobody_owns_stays_with_all_its_states() {
        let text = "aggregate.centered-clipping = {}\nserver.sgd = { momentum = 0.9 }";
        let mut pipeline = build(text, true);
        let rows = matrix(&vec![vec![1.0; 9]; 3]);
        let names = |pipeline: &Pipeline| pipeline.state().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let (made, stayed) = round(&mut pipeline, &rows, &[2, 2, 2], 0);
        assert_eq!((&made[..2], stayed), ([0.5, 0.5].as_slice(), 1));
        assert!(made[2..].iter().all(|w| *w > 0.5));
        assert_eq!(
            names(&pipeline),
            ["block.b.rule.centre", "block.fusion.rule.centre", "block.b.server.m", "block.fusion.server.m"]
        );
        let _ = round(&mut pipeline, &rows, &[3, 3, 3], 1);
        let before = pipeline.state();
        let (made, _) = round(&mut pipeline, &rows, &[2, 2, 2], 2);
        assert_eq!(made[..2], [0.5, 0.5], "no momentum moves it");
        for (name, tensor) in before.iter().filter(|(name, _)| name.starts_with("block.a.")) {
            assert_eq!(super::super::take(&pipeline.state(), name).as_ref(), Some(tensor), "{name}");
        }
    }

    #[test]
    fn a_block_with_too_few_rows_is_named_or_skipped() {
        let rows = matrix(&vec![vec![1.0; 9]; 5]);
        let owned = [3, 1, 1, 1, 1];
        let (made, stayed) = round(&mut build("aggregate.trimmed-mean = { f = 1 }", true), &rows, &owned, 0);
        assert_eq!((made, stayed), (vec![1.5, 1.5, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5], 1));
        let text = "per-block = true\naggregate.trimmed-mean = { f = 1 }";
        let mut strict = toml::from_str::<Custom>(text).unwrap().build(0.1, &blocks());
        let senders = Senders { clients: None, owned: Some(&owned), server: None };
        let updates = Updates { rows, samples: vec![1.0; 5] };
        let error = strict.step_of(&Tensor::from_slice(&[0.0_f32; 9]), updates, &senders, &Stream::root(0));
        assert_eq!(
            error.unwrap_err().to_string(),
            "block b: trimmed-mean with f = 1 met a round with 1 rows; it needs at least 3. Lower f, or draw a larger cohort."
        );
    }

    #[test]
    fn f_and_members_are_those_of_the_block() {
        let text = "aggregate.trimmed-mean = { f = 2 }\n[blocks]\na.f = 0\nb.aggregate.median = {}";
        let rows: Vec<Vec<f32>> = [0.0, 1.0, 2.0, 4.0, 13.0].iter().map(|x| vec![*x; 9]).collect();
        let (made, _) = round(&mut build(text, true), &matrix(&rows), &[3; 5], 0);
        assert_eq!(made, [4.5, 4.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]);
    }

    #[test]
    fn a_server_that_looks_at_all_weights_gets_them_all() {
        // CRFL clips the length of the whole row: 9 weights of 1.5 are 4.5 long.
        let mut pipeline = build("server.crfl = { norm = 2.25, noise = 0.0 }", true);
        let (made, _) = round(&mut pipeline, &matrix(&vec![vec![1.0; 9]; 2]), &[3, 3], 0);
        assert!(made.iter().all(|w| (w - 0.75).abs() < 1e-6), "{made:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_a_block_holds_moves_no_other((rows, owned) in cases(), other in -50.0_f32..50.0, who in 0..5_usize) {
            for text in CHAINS {
                let mut changed = rows.clone();
                changed[who][0] = other;
                changed[who][1] = -other;
                let (made, _) = round(&mut build(text, true), &matrix(&rows), &owned, 0);
                let (then, _) = round(&mut build(text, true), &matrix(&changed), &owned, 0);
                prop_assert_eq!(&made[2..], &then[2..], "{}", text);
            }
        }

        #[test]
        fn rows_of_those_who_do_not_own_a_block_do_not_count_in_it((rows, owned) in cases()) {
            for text in CHAINS {
                let mut changed = rows.clone();
                for (row, _) in changed.iter_mut().zip(&owned).filter(|(_, owned)| **owned & 1 == 0) {
                    (row[0], row[1]) = (1e30, -1e30);
                }
                let made = round(&mut build(text, true), &matrix(&rows), &owned, 0);
                let then = round(&mut build(text, true), &matrix(&changed), &owned, 0);
                prop_assert_eq!(made, then, "{}", text);
            }
        }

        #[test]
        fn a_block_gets_what_its_rows_alone_would((rows, owned) in cases()) {
            for text in CHAINS {
                let (made, _) = round(&mut build(text, true), &matrix(&rows), &owned, 0);
                for block in blocks() {
                    let of = |i: &usize| block.modality.is_none_or(|m| owned[*i] >> m & 1 == 1);
                    let owners: Vec<usize> = (0..rows.len()).filter(of).collect();
                    let span = block.offset as usize..(block.offset + block.len) as usize;
                    let slices: Vec<Vec<f32>> = owners.iter().map(|&i| rows[i][span.clone()].to_vec()).collect();
                    let expected = alone(text, &block, &owners, &slices);
                    prop_assert_eq!(&made[span], &expected, "{} {}", text, &block.name);
                }
            }
        }

        #[test]
        fn the_order_of_clients_does_not_matter((rows, owned) in cases(), turn in 1..5_usize) {
            let turned = |n: usize| (0..n).map(|i| (i + turn) % n).collect::<Vec<_>>();
            let order = turned(rows.len());
            let moved: Vec<Vec<f32>> = order.iter().map(|&i| rows[i].clone()).collect();
            let owners: Vec<u32> = order.iter().map(|&i| owned[i]).collect();
            for text in ["aggregate.mean = { weights = 'uniform' }", CHAINS[1], CHAINS[2], CHAINS[4]] {
                let (made, _) = round(&mut build(text, true), &matrix(&rows), &owned, 0);
                let (then, _) = round(&mut build(text, true), &matrix(&moved), &owners, 0);
                prop_assert!(made.iter().zip(&then).all(|(a, b)| (a - b).abs() < 1e-5), "{text}: {made:?} {then:?}");
            }
        }

        #[test]
        fn every_state_survives_a_checkpoint((rows, owned) in cases(), (_, again) in cases()) {
            for text in CHAINS {
                let (mut one, mut other) = (build(text, true), build(text, true));
                let _ = round(&mut one, &matrix(&rows), &owned, 0);
                other.restore(&one.state());
                let owned: Vec<u32> = (0..rows.len()).map(|i| again[i % again.len()]).collect();
                let next = [&mut one, &mut other].map(|pipeline| round(pipeline, &matrix(&rows), &owned, 1));
                prop_assert_eq!(&next[0], &next[1], "{}", text);
            }
        }
    }

    /// What the owners' slices make of the block without any other block.
    fn alone(text: &str, block: &Block, owners: &[usize], slices: &[Vec<f32>]) -> Vec<f64> {
        let start = Tensor::from_slice(&vec![0.5_f32; block.len as usize]);
        if owners.is_empty() {
            return numbers(&start).unwrap();
        }
        let only = Block { modality: None, offset: 0, ..block.clone() };
        let custom: Custom = toml::from_str(&format!("per-block = true\ntoo-few = 'skip'\n{text}")).unwrap();
        let clients: Vec<u64> = owners.iter().map(|&i| i as u64).collect();
        let samples = owners.iter().map(|&i| 1.0 + i as f64).collect();
        let updates = Updates { rows: matrix(slices), samples };
        let senders = Senders { clients: Some(&clients), owned: None, server: None };
        let stream = Stream::root(7).at(0);
        numbers(&custom.build(0.1, &[only]).step_of(&start, updates, &senders, &stream).unwrap().weights).unwrap()
    }
}
