//! `fedrobust plan`: the scenario is checked whole, and what it would take is said.

use super::{PlanArguments, say, tell};
use fedrobust::device;
use fedrobust::fault::{Error, Result};
use fedrobust::memory;
use fedrobust::sweep::estimate;
use fedrobust::sweep::outline::Outline;

/// Runs shown by label before the list is cut.
const SHOWN: usize = 12;

/// Prints the plan.
pub fn plan(arguments: &PlanArguments) -> Result<u8> {
    let threads = arguments.scenario.threads()?;
    let study = match arguments.scenario.study() {
        Err(Error::Absent(what)) => return outline(arguments, &what),
        study => study?,
    };
    let plan = &study.plan;
    say(&format!("{}: {}", plan.name, plan.question));
    say(&format!("  runs        {} = {} points × {} seeds", plan.runs.len(), plan.points.len(), plan.seeds.len()));
    for run in (0..plan.runs.len()).take(SHOWN) {
        say(&format!("              {}", study.label(run)));
    }
    if plan.runs.len() > SHOWN {
        say(&format!("              … and {} more", plan.runs.len() - SHOWN));
    }
    let dropped = study.loaded.points.impossible;
    if dropped > 0 {
        say(&format!("  left out    {dropped} impossible cells (skip-impossible = true)"));
    }
    say(&format!("  clients     {}", span(study.clients.iter().copied())));
    say(&format!("  parameters  {}", span((0..plan.points.len()).map(|point| study.model(point).parameters()))));
    let budget = estimate::budget(&study, threads);
    say(&format!("  memory      about {} for data and {} runs at a time", memory::size(budget.bytes), budget.runs));
    let place = device::name(study.device());
    if arguments.no_calibrate {
        say(&format!("  device      {place}"));
    } else {
        let seconds = estimate::seconds(&study, threads)?;
        say(&format!(
            "  time        about {} on {place} ({threads} threads), by two rounds of training",
            duration(seconds)
        ));
    }
    Ok(0)
}

/// What can be said and checked without the data, then what is not there.
fn outline(arguments: &PlanArguments, absent: &str) -> Result<u8> {
    let outline = Outline::new(arguments.scenario.load()?)?;
    let loaded = &outline.loaded;
    let (points, seeds) = (loaded.points.points.len(), loaded.seeds.len());
    say(&format!("{}: {}", loaded.name, loaded.question));
    say(&format!("  runs        {} = {points} points × {seeds} seeds", points * seeds));
    if loaded.points.impossible > 0 {
        say(&format!("  left out    {} impossible cells (skip-impossible = true)", loaded.points.impossible));
    }
    say(&format!("  parameters  {}", span(outline.parameters.iter().copied())));
    say("  not there   the data, so clients, memory and time are unknown; all else was checked");
    tell(absent);
    Ok(if arguments.allow_absent_data { 0 } else { Error::Absent(String::new()).exit_code() })
}

fn span(values: impl Iterator<Item = usize> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(low), Some(high)) if low != high => format!("{low} to {high}"),
        (Some(low), _) => low.to_string(),
        _ => "none".to_string(),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}
