//! `fedrobust aggregate` and `fedrobust attack`: rules and attacks on a matrix from a file.

use super::{AggregateArguments, AttackArguments, say};
use fedrobust::aggregate::{Pipeline, Senders, Updates};
use fedrobust::attack::{Defence, Knowledge, Scene};
use fedrobust::data::matrix;
use fedrobust::fault::{Error, Result};
use fedrobust::scenario::{read_attack, read_defence};
use fedrobust::seed::Stream;
use fedrobust::strategy::Custom;
use std::path::Path;
use tch::{Kind, Tensor};

/// Aggregates the rows of a file.
pub fn aggregate(arguments: &AggregateArguments) -> Result<u8> {
    let rows = matrix::read(&arguments.file)?;
    let n = rows.size()[0] as usize;
    let samples = match &arguments.samples {
        Some(samples) if samples.len() != n => {
            let given = samples.len();
            return Err(Error::Invalid(format!(
                "--samples: gives {given} numbers for {n} rows; give one for each row"
            )));
        }
        Some(samples) if !samples.iter().all(|s| *s > 0.0 && s.is_finite()) => {
            return Err(Error::Invalid(
                "--samples: holds a number that is not positive; allowed: numbers above 0".into(),
            ));
        }
        Some(samples) => samples.clone(),
        None => vec![1.0; n],
    };
    let defence = read_defence(&arguments.spec, n)?;
    matrix::check_single(&rows, &arguments.file)?;
    let server = arguments.server.as_ref().map(|file| server_row(file, rows.size()[1])).transpose()?;
    let (made, excluded) = run(&defence, &rows, samples, server.as_ref(), &Stream::root(arguments.seed))?;
    if excluded == n {
        let file = arguments.file.display();
        return Err(Error::Invalid(format!(
            "{file}: every row holds NaN or infinity, so there is nothing to aggregate"
        )));
    }
    if excluded > 0 {
        let bad = matrix::places(&matrix::non_finite(&rows)?);
        eprintln!("note: {bad} of {n}: NaN or infinity, set aside");
    }
    matrix::write(&made.f_unsqueeze(0)?, arguments.out.as_deref(), say)?;
    Ok(0)
}

/// The server's own update `[P]` from a file of one row.
fn server_row(file: &Path, columns: i64) -> Result<Tensor> {
    let row = matrix::read(file)?;
    if row.size() != [1, columns] {
        let size = row.size();
        return Err(Error::Invalid(format!(
            "--server {}: holds {} rows of {} numbers; give one row of {columns}, as long as the updates",
            file.display(),
            size[0],
            size[1]
        )));
    }
    Ok(row.f_get(0)?.f_to_kind(Kind::Float)?)
}

/// The aggregate `[P]` of rows, and how many were set aside.
fn run(
    defence: &Custom,
    rows: &Tensor,
    samples: Vec<f64>,
    server: Option<&Tensor>,
    stream: &Stream,
) -> Result<(Tensor, usize)> {
    let mut pipeline: Pipeline = defence.build(1.0, &[]);
    let updates = Updates { rows: rows.f_to_kind(Kind::Float)?, samples };
    let start = Tensor::f_zeros([rows.size()[1]], (Kind::Float, rows.device()))?;
    // From zero weights, the plain server's step is the aggregate itself.
    let senders = Senders { server, ..Senders::default() };
    let stepped = pipeline.step_of(&start, updates, &senders, stream)?;
    Ok((stepped.weights, stepped.excluded))
}

/// What attackers would send if the rows of a file were all honest updates.
pub fn attack(arguments: &AttackArguments) -> Result<u8> {
    let honest = matrix::read(&arguments.file)?.f_to_kind(Kind::Double)?;
    let (n, forged) = (honest.size()[0] as usize, arguments.byzantine);
    let bad = matrix::non_finite(&honest)?;
    if !bad.is_empty() {
        eprintln!("note: {} of {n}: NaN or infinity, taken for honest as they are", matrix::places(&bad));
    }
    if forged == 0 {
        return Err(Error::Invalid("--byzantine 0: is too small; allowed: a whole number from 1".into()));
    }
    let kind = read_attack(&arguments.spec)?;
    if kind.on_data() {
        let spec = &arguments.spec;
        return Err(Error::Invalid(format!(
            "{spec}: forges what attackers train on, so a matrix of updates says nothing of it; use it in [attack] of a scenario"
        )));
    }
    let Some(mut attack) = kind.build() else {
        return Err(Error::Invalid(format!("{}: forges nothing; name another attack", arguments.spec)));
    };
    let defence = arguments.defence.as_ref().map(|spec| read_defence(spec, n + forged)).transpose()?;
    if kind.optimised() && defence.is_none() {
        let spec = &arguments.spec;
        return Err(Error::Invalid(format!(
            "{spec}: an optimised factor needs the defence that it is optimised against; add --defence 'SPEC'"
        )));
    }
    let imagined = Stream::root(arguments.seed).named("defence");
    let tried = |rows: &Tensor| -> Result<Tensor> {
        let defence = defence.clone().unwrap_or_default();
        Ok(run(&defence, rows, vec![1.0; rows.size()[0] as usize], None, &imagined)?.0)
    };
    // Attackers whose own updates matter: the rows of the file in turn.
    let index = Tensor::from_slice(&(0..forged as i64).map(|i| i % n as i64).collect::<Vec<_>>());
    let scene = Scene {
        seen: &honest,
        senders: &(0..n as u64).collect::<Vec<_>>(),
        own: &honest.f_index_select(0, &index)?,
        knowledge: Knowledge::Omniscient,
        clients: n + forged,
        defence: defence
            .as_ref()
            .map(|chain| Defence { aggregate: &tried, sees_only_distances: chain.sees_only_distances() }),
        previous: None,
        stream: &Stream::root(arguments.seed).named("forge"),
    };
    attack.learn(&scene)?;
    matrix::write(&attack.forge(&scene)?, arguments.out.as_deref(), say)?;
    Ok(0)
}
