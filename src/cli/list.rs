//! `fedrobust list`: every choice, from the code itself.

use super::say;
use fedrobust::aggregate::rule::limits::{LIMITS, Limits};
use fedrobust::fault::{About, Error, Result};
use fedrobust::{aggregate, attack, corrupt, data, lane, model, objective, partition, strategy};

/// Every family: its key in a scenario, what it decides, its choices.
const FAMILIES: &[(&str, &str, &[About])] = &[
    ("data", "where the samples come from", data::CHOICES),
    ("split", "test samples when the data has no official ones (split.test)", data::prepare::CHOICES),
    ("partition", "which client holds which training samples", partition::CHOICES),
    ("corrupt", "what happens to a client's data", corrupt::CHOICES),
    ("attack", "what byzantine clients send or train on (attack.kind)", attack::CHOICES),
    ("encoder", "how one modality is encoded (model.encoder, model.encoders.<modality>)", model::config::ENCODERS),
    ("fusion", "how modalities are joined (model.fusion)", model::config::FUSIONS),
    ("optimizer", "how clients train (train.optimizer)", lane::config::OPTIMIZERS),
    ("strategy", "local objective + pre-aggregators + rule + server optimiser", strategy::CHOICES),
    ("local", "local objectives (strategy.custom.local)", objective::CHOICES),
    ("pre", "pre-aggregators (strategy.custom.pre)", aggregate::pre::CHOICES),
    ("aggregate", "rules (strategy.custom.aggregate)", aggregate::rule::CHOICES),
    ("on", "what rules act on (strategy.custom.on)", aggregate::on::CHOICES),
    ("server", "server optimisers (strategy.custom.server)", aggregate::server::CHOICES),
];

/// Prints one family in full, or all in short.
pub fn list(family: Option<&str>) -> Result<u8> {
    let Some(wanted) = family else {
        for (name, what, choices) in FAMILIES {
            say(&format!("{name}: {what}"));
            for about in *choices {
                say(&format!("  {:<18} {}", about.name, about.summary));
            }
            say("");
        }
        say("fedrobust list FAMILY tells parameters, defaults, formulas and papers.");
        return Ok(0);
    };
    let Some((name, what, choices)) = FAMILIES.iter().find(|(name, ..)| *name == wanted) else {
        let names: Vec<&str> = FAMILIES.iter().map(|(name, ..)| *name).collect();
        return Err(Error::Invalid(format!("{wanted}: is not a family; allowed: {}", names.join(", "))));
    };
    say(&format!("{name}: {what}"));
    // Names of other families may be the same.
    let limits = |about: &About| LIMITS.iter().find(|limits| *name == "aggregate" && limits.name == about.name);
    choices.iter().for_each(|about| describe(about, limits(about)));
    Ok(0)
}

fn describe(about: &About, limits: Option<&Limits>) {
    say(&format!("\n{}\n  {}", about.name, about.summary));
    if !about.formula.is_empty() {
        say(&format!("  formula   {}", about.formula));
    }
    if let Some(limits) = limits {
        say(&format!("  assumes   {}", limits.assumes));
        say(&format!("  breakdown {}", limits.breakdown));
        say(&format!("  cost      {}", limits.cost));
    }
    for parameter in about.parameters {
        say(&format!("  {:<18} {}  (default {})", parameter.name, parameter.meaning, parameter.default));
    }
    if !about.source.is_empty() {
        say(&format!("  source    {}", about.source));
    }
}
