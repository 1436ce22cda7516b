//! All that a server does with the updates of a round: rows set aside, chains, server optimiser.

use super::server::{Server, Voters};
use super::{Chain, Nan, State, Updates, prefixed, stripped};
use crate::fault::Result;
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Who sent the rows of a round, as far as a caller says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Senders<'a> {
    /// The client behind each row: what a rule with a memory of its clients (`foolsgold`) needs.
    pub clients: Option<&'a [u64]>,
    /// The modalities that each row's client has, bit m for modality m; everybody has everything where nothing is said.
    pub owned: Option<&'a [u32]>,
    /// The server's own update `[P]`: what `fltrust` needs.
    pub server: Option<&'a Tensor>,
}

/// What becomes of a round with fewer rows than a member needs: `custom.too-few`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooFew {
    /// The run fails and says which member, its f, the rows it met and the rows it needs.
    #[default]
    Error,
    /// The model stays as it is in this round, or the block where blocks are aggregated apart; it is counted.
    Skip,
}

impl TooFew {
    /// Whether it is what is meant where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == TooFew::Error
    }
}

/// The server optimiser.
pub enum Servers {
    /// One over all weights.
    Whole(Box<dyn Server>),
    /// One a chain, for optimisers that treat every weight by itself: a block that stays keeps its optimiser's state too.
    Apart(Vec<Box<dyn Server>>),
}

/// What a server does with the updates of a round.
pub struct Pipeline {
    /// What becomes of rows with a NaN or an infinity.
    pub nan: Nan,
    /// What becomes of a round with too few rows.
    pub too_few: TooFew,
    /// One over the whole rows, or one a block that together cover them in order.
    pub chains: Vec<Chain>,
    /// The server optimiser.
    pub servers: Servers,
}

/// What the chains made of a round's rows.
#[derive(Debug)]
pub struct Aggregated {
    /// Of each chain its part of the aggregated row `[P]`; none for a block that stays.
    pub parts: Vec<Option<Tensor>>,
    /// Rows behind each part.
    pub rows: Vec<usize>,
    /// Rows set aside because of a NaN or an infinity.
    pub excluded: usize,
}

impl Aggregated {
    /// Blocks that stay as they are.
    pub fn stayed(&self) -> usize {
        self.parts.iter().filter(|part| part.is_none()).count()
    }
}

/// What a round made of the global weights.
#[derive(Debug)]
pub struct Stepped {
    /// The new global weights `[P]`.
    pub weights: Tensor,
    /// Rows set aside because of a NaN or an infinity.
    pub excluded: usize,
    /// Blocks left as they were (the whole model is one where blocks are not apart): without a row, or with too few.
    pub stayed: usize,
}

impl Pipeline {
    /// The new global weights `[P]` from the old ones and the round's updates.
    ///
    /// Where no row is left, weights and state stay as they are. `stream` is the round's own.
    ///
    /// # Errors
    /// Fewer rows than a member needs, a bad row under `nan = "error"`, or libtorch runs out of memory.
    pub fn step(&mut self, weights: &Tensor, updates: Updates, stream: &Stream) -> Result<Stepped> {
        self.step_of(weights, updates, &Senders::default(), stream)
    }

    /// The same, told who sent the rows.
    ///
    /// # Errors
    /// As [`Pipeline::step`].
    pub fn step_of(
        &mut self,
        weights: &Tensor,
        updates: Updates,
        senders: &Senders,
        stream: &Stream,
    ) -> Result<Stepped> {
        let made = self.aggregate(updates, senders, stream)?;
        let stayed = made.stayed();
        Ok(Stepped { weights: self.serve(weights, made.parts, stream)?, excluded: made.excluded, stayed })
    }

    /// Rows set aside and chains alone: what the server optimiser is to get.
    ///
    /// # Errors
    /// As [`Pipeline::step`].
    pub fn aggregate(&mut self, updates: Updates, senders: &Senders, stream: &Stream) -> Result<Aggregated> {
        let _guard = tch::no_grad_guard();
        let (updates, kept, excluded) = self.nan.apply(updates)?;
        let clients = senders.clients.map(|clients| kept.iter().map(|&i| clients[i]).collect::<Vec<_>>());
        let owned = senders.owned.map(|owned| kept.iter().map(|&i| owned[i]).collect::<Vec<_>>());
        let senders = Senders { clients: clients.as_deref(), owned: owned.as_deref(), ..*senders };
        let rows = self.chains.iter().map(|chain| chain.owners(updates.len(), &senders).len()).collect();
        let mut parts = Vec::with_capacity(self.chains.len());
        // The last chain gets the rows themselves, so that a pre-aggregator can free them.
        let mut shares: Vec<Updates> = (1..self.chains.len()).map(|_| updates.share()).collect();
        shares.push(updates);
        for (chain, share) in self.chains.iter_mut().zip(shares) {
            parts.push(chain.aggregate(share, &senders, self.too_few, stream)?);
        }
        Ok(Aggregated { parts, rows, excluded })
    }

    /// One row `[P]` of the parts, each times its `factor`; 0 in blocks that stay. `weights` says how long it is.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    pub fn whole(&self, weights: &Tensor, parts: &[Option<Tensor>], factor: impl Fn(usize) -> f64) -> Result<Tensor> {
        whole(&self.chains, weights, parts, factor)
    }

    /// Adds a row `[P]` to the parts; blocks that stay do so.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    pub fn add(&self, parts: &mut [Option<Tensor>], row: &Tensor) -> Result<()> {
        for (chain, part) in self.chains.iter().zip(parts) {
            if let Some(part) = part {
                *part = part.f_add(&chain.part(row)?)?;
            }
        }
        Ok(())
    }

    /// The server step from the part of each chain, `[P]`; a block without one stays, and so does its optimiser.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    pub fn serve(&mut self, weights: &Tensor, deltas: Vec<Option<Tensor>>, stream: &Stream) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        if deltas.iter().all(Option::is_none) {
            return Ok(weights.shallow_clone());
        }
        let stream = &stream.named("server");
        match &mut self.servers {
            Servers::Whole(server) => {
                server.step_drawn(weights, &whole(&self.chains, weights, &deltas, |_| 1.0)?, stream)
            }
            Servers::Apart(servers) => {
                let mut parts = Vec::with_capacity(deltas.len());
                for ((chain, server), delta) in self.chains.iter().zip(servers).zip(deltas) {
                    let old = chain.part(weights)?;
                    parts.push(delta.map_or_else(|| Ok(old.shallow_clone()), |d| server.step_drawn(&old, &d, stream))?);
                }
                join(parts)
            }
        }
    }

    /// Who votes on predictions after the last step; nobody where the global weights themselves predict.
    pub fn voters(&self) -> Option<Voters> {
        match &self.servers {
            Servers::Whole(server) => server.voters(),
            Servers::Apart(_) => None,
        }
    }

    /// State to checkpoint, named `rule.…` and `server.…`, of a block `block.NAME.rule.…` and `block.NAME.server.…`.
    pub fn state(&self) -> State {
        let mut state: State = self.chains.iter().flat_map(Chain::state).collect();
        match &self.servers {
            Servers::Whole(server) => state.extend(prefixed(SERVER, server.state())),
            Servers::Apart(servers) => {
                for (chain, server) in self.chains.iter().zip(servers) {
                    state.extend(prefixed(&chain.scope(SERVER), server.state()));
                }
            }
        }
        state
    }

    /// Takes a checkpointed state back; names that belong to no part are ignored.
    pub fn restore(&mut self, state: &State) {
        self.chains.iter_mut().for_each(|chain| chain.restore(state));
        match &mut self.servers {
            Servers::Whole(server) => server.restore(stripped(SERVER, state)),
            Servers::Apart(servers) => {
                for (chain, server) in self.chains.iter().zip(servers) {
                    server.restore(stripped(&chain.scope(SERVER), state));
                }
            }
        }
    }
}

const SERVER: &str = "server.";

fn whole(
    chains: &[Chain],
    weights: &Tensor,
    parts: &[Option<Tensor>],
    factor: impl Fn(usize) -> f64,
) -> Result<Tensor> {
    let mut row = Vec::with_capacity(parts.len());
    for (place, (chain, part)) in chains.iter().zip(parts).enumerate() {
        row.push(match part {
            Some(part) if factor(place) == 1.0 => part.shallow_clone(),
            Some(part) => part.f_mul_scalar(factor(place))?,
            None => chain.part(weights)?.f_zeros_like()?,
        });
    }
    join(row)
}

/// The parts of a row, one after another.
fn join(mut parts: Vec<Tensor>) -> Result<Tensor> {
    if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Tensor::f_cat(&parts, 0)?) }
}
