//! The byzantine clients of a run: who they are, what they train on, what they send.

use super::world::World;
use crate::aggregate::State;
use crate::attack::{Attack, Config, Defence, Kind, Knowledge, Members, Place, Scene};
use crate::corrupt::{Paint, Samples};
use crate::data::Labels;
use crate::fault::Result;
use crate::seed::Stream;
use std::sync::Arc;
use tch::Tensor;

/// Everything byzantine about a run.
pub(super) struct Foe {
    config: Config,
    attack: Box<dyn Attack + Send>,
    /// The run's stream for attacks: nothing else draws from it.
    stream: Stream,
    /// Byzantine clients where they are drawn once.
    fixed: Vec<bool>,
    /// How a backdoor is scored.
    pub trigger: Option<Trigger>,
}

/// The test samples that a backdoor is scored on: those of other classes than its target, all with the trigger.
pub(super) struct Trigger {
    /// Places in the test samples.
    pub places: Vec<usize>,
    /// Their rows.
    pub rows: Arc<Vec<u32>>,
    /// What they are painted with.
    pub paint: Arc<Vec<Paint>>,
    /// The class they should be taken for.
    pub target: usize,
}

/// What a round gives the attackers to work with.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Round, from 0.
    pub round: usize,
    /// Honest rows by client number, `[h, P]`.
    pub honest: &'a Tensor,
    /// The client behind each honest row, then behind each of the attackers'.
    pub clients: &'a [u64],
    /// What honest training would have given the attackers, by client number, `[b, P]`.
    pub own: &'a Tensor,
    /// The defence, where it is asked for.
    pub defence: Option<Defence<'a>>,
    /// The last change of the global model.
    pub previous: Option<&'a Tensor>,
}

impl Foe {
    /// Draws the attackers; `None` where the attack does nothing.
    pub fn new(config: Option<&Config>, world: &World, stream: &Stream) -> Option<Self> {
        let config = config.filter(|config| !config.does_nothing())?.clone();
        let stream = stream.named("attack");
        Some(Self {
            attack: config.kind.build()?,
            fixed: config.byzantine.draw(world.size(), &stream.named("members")),
            trigger: Trigger::new(&config.kind, world),
            config,
            stream,
        })
    }

    /// Who is byzantine in a round (from 0), one flag a client.
    pub fn members(&self, round: usize) -> Vec<bool> {
        match self.config.members {
            Members::Fixed => self.fixed.clone(),
            Members::EachRound => {
                let stream = self.stream.named("members").at(round as u64);
                self.config.byzantine.draw(self.fixed.len(), &stream)
            }
        }
    }

    /// Whether the attackers forge what they send, not what they train on.
    pub fn forges(&self) -> bool {
        !self.config.kind.on_data()
    }

    /// Whether the attackers use the last change of the global model.
    pub fn remembers(&self) -> bool {
        matches!(self.config.kind, Kind::Rop(_))
    }

    /// What a byzantine client trains on instead of its samples.
    pub fn poisoned(&self, client: usize, samples: &Samples, world: &World) -> Option<Arc<Samples>> {
        let stream = self.stream.named("poison").at(client as u64);
        let place = Place { classes: world.classes, modalities: &world.modalities, stream: &stream };
        self.attack.poison(samples, &place).map(Arc::new)
    }

    /// What attackers who learn over rounds take from this one; those who know no honest update take nothing.
    ///
    /// # Errors
    /// Too little memory.
    pub fn learn(&mut self, known: Known) -> Result<()> {
        let Self { config, attack, stream, .. } = self;
        match scene(config, known, &stream.named("learn").at(known.round as u64)) {
            Some(scene) => attack.learn(&scene),
            None => Ok(()),
        }
    }

    /// What the attackers send, `[b, P]`. Those who know no honest update (a cohort without an honest client) send their own.
    ///
    /// # Errors
    /// An optimised factor against a defence that cannot work with the rows.
    pub fn forge(&self, known: Known) -> Result<Tensor> {
        match scene(&self.config, known, &self.stream.named("forge").at(known.round as u64)) {
            Some(scene) => self.attack.forge(&scene),
            None => Ok(known.own.shallow_clone()),
        }
    }

    /// What attackers learned, to checkpoint.
    pub fn state(&self) -> State {
        self.attack.state()
    }

    /// Takes a checkpointed state back.
    pub fn restore(&mut self, state: State) {
        self.attack.restore(state);
    }

    /// The stream of the defence that attackers imagine in a round.
    pub fn imagined(&self, round: usize) -> Stream {
        self.stream.named("defence").at(round as u64)
    }
}

/// A round as attackers see it; none where they see no update.
fn scene<'a>(config: &Config, known: Known<'a>, stream: &'a Stream) -> Option<Scene<'a>> {
    let Known { honest, clients, own, defence, previous, .. } = known;
    let (good, bad) = clients.split_at(honest.size()[0] as usize);
    let (seen, senders) = match config.knowledge {
        Knowledge::Omniscient => (honest, good),
        Knowledge::Own => (own, bad),
    };
    let knowledge = config.knowledge;
    let scene = Scene { seen, senders, own, knowledge, clients: clients.len(), defence, previous, stream };
    (!senders.is_empty()).then_some(scene)
}

impl Trigger {
    fn new(kind: &Kind, world: &World) -> Option<Self> {
        let (Kind::Backdoor(config), Labels::Single(truth)) = (kind, &world.test.truth) else { return None };
        let places: Vec<usize> = (0..truth.len()).filter(|&i| truth[i] != config.target).collect();
        Some(Self {
            rows: Arc::new(places.iter().map(|&i| world.test.rows[i]).collect()),
            places,
            paint: Arc::new(config.trigger(&world.modalities)),
            target: config.target as usize,
        })
    }
}
