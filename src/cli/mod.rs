//! Arguments and commands.

mod compare;
mod data;
mod eval;
mod gate;
mod list;
mod plan;
mod progress;
mod run;
mod try_out;
mod watch;

use clap::{Args, Parser, Subcommand};
use fedrobust::fault::Result;
use fedrobust::shard::Shard;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 some runs failed or the answer is no (the rest is kept); 2 the scenario or the call is wrong; 3 the machine lacks something; 130 stopped by Ctrl-C or SIGTERM with everything saved.";

/// How much corruption does this federated-learning strategy survive?
#[derive(Debug, Parser)]
#[command(name = "fedrobust", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: train every cell of its grid, then write tables, plots and the report
    Run(RunArguments),
    /// Check a scenario and say what it would run, how much memory and how long
    Plan(PlanArguments),
    /// Bring the folders of a split sweep (--shard) together, then write tables, plots and the report
    Merge(MergeArguments),
    /// Draw tables, plots and report again from a results folder
    Report {
        /// A folder that `fedrobust run` wrote, for example results/quickstart
        dir: PathBuf,
    },
    /// Say how a sweep stands: runs, rate, time left, best and worst cell; from another terminal, until it has ended
    Watch(WatchArguments),
    /// Compare strategies, folders or the values of an axis over paired seeds, with corrected tests
    Compare(CompareArguments),
    /// Run a scenario again and hold it against a baseline: exit code 0 the same, 1 changed
    Gate(GateArguments),
    /// List every choice with its parameters, defaults and paper
    List {
        /// Only this family, for example strategy, aggregate, corrupt
        family: Option<String>,
    },
    /// Aggregate the rows of a matrix by a rule or a chain, and print the result
    Aggregate(AggregateArguments),
    /// Print what attackers would send if the rows of a matrix were the honest updates
    Attack(AttackArguments),
    /// Look at data
    #[command(subcommand)]
    Data(DataCommand),
    /// Score a trained model (saved with save-model = true) on the test samples of a scenario
    Eval(EvalArguments),
}

/// What every command that reads a scenario takes.
#[derive(Debug, Args)]
struct ScenarioArguments {
    /// The scenario file
    file: PathBuf,
    /// Set a key before the grid, for example --set train.rounds=5; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Let matrix products on a GPU round their factors to TF32: faster, results of their own kind; nothing on a CPU
    #[arg(long)]
    tf32: bool,
    /// Worker threads on the CPU; all cores by default
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Results folder; results/<scenario name> by default
    #[arg(long)]
    out: Option<PathBuf>,
    /// No progress, only faults
    #[arg(long)]
    quiet: bool,
    /// Run every N-th run only, from the K-th: --shard 3/16 on one of 16 machines; the folder is then
    /// results/<scenario name>-shards/K-of-N by default, and `fedrobust merge` brings the parts together
    #[arg(long, value_name = "K/N", default_value_t = Shard::WHOLE, hide_default_value = true)]
    shard: Shard,
    /// Also write TensorBoard event files, a folder a run, while the sweep runs
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct WatchArguments {
    /// The folder that `fedrobust run` writes to, for example results/quickstart
    dir: PathBuf,
    /// Once, then end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    every: f64,
}

#[derive(Debug, Args)]
struct MergeArguments {
    /// The folders of all parts, for example results/quickstart-shards/*
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The folder of the whole; results/<scenario name> by default
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PlanArguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Do not train two rounds to estimate the time
    #[arg(long)]
    no_calibrate: bool,
    /// Exit with 0 where only data that is not on this machine is missing (3 without this)
    #[arg(long)]
    allow_absent_data: bool,
}

#[derive(Debug, Args)]
struct CompareArguments {
    /// Folders that `fedrobust run` wrote; their runs are taken together
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// What is compared: strategy, folder, or the path of an axis, for example corrupt.missing-modality.rate
    #[arg(long, default_value = "strategy")]
    by: String,
    /// Compare with this one only, for example --against fedavg; all pairs by default
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// Another score than the scenario's: accuracy, macro-f1, uar, top-k
    #[arg(long, value_parser = compare::metric)]
    metric: Option<fedrobust::record::Metric>,
    /// Which round speaks for a run: last, best, mean5; best where there is a development set, else last, by default
    #[arg(long, value_parser = compare::reading)]
    reading: Option<fedrobust::record::Reading>,
    /// Correct for all comparisons together instead of condition by condition
    #[arg(long)]
    strict: bool,
    /// Folder for compare.csv, compare.svg and compare.png; the first of the results folders by default
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct GateArguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// The baseline, a JSON file that --bless wrote
    #[arg(long)]
    baseline: PathBuf,
    /// Compare by equivalence even where digests could be compared
    #[arg(long)]
    no_digest: bool,
    /// Write the baseline instead of comparing with it; needs --reason
    #[arg(long)]
    bless: bool,
    /// Why the baseline is made, for who reads the diff
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// With --bless: margin of the paired test, of scores as they are and of losses as a ratio; that of the old baseline,
    /// or 0.02, by default
    #[arg(long)]
    margin: Option<f64>,
    /// Write JUnit XML, a test case a cell
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a summary in Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Results folder; a temporary one by default
    #[arg(long)]
    out: Option<PathBuf>,
    /// No progress, only the answer
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct EvalArguments {
    /// The model, a safetensors file
    model: PathBuf,
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Seed of the split; the scenario's first by default
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct AggregateArguments {
    /// A rule ('median', 'trimmed-mean = { f = 2 }') or a chain ('[{ nnm = { f = 2 } }, { trimmed-mean = { f = 2 } }]')
    spec: String,
    /// One update a row: .npy (floats or integers) or .csv without a header
    file: PathBuf,
    /// Samples of each client, the weights of a weighted mean: --samples 10,20,30; equal by default
    #[arg(long, value_delimiter = ',')]
    samples: Option<Vec<f64>>,
    /// The server's own update for fltrust: a file of one row
    #[arg(long)]
    server: Option<PathBuf>,
    /// Seed of rules that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a .npy file instead of printing CSV
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AttackArguments {
    /// An attack: 'sign-flip', 'alie = { z = 1.5 }' (fedrobust list attack)
    spec: String,
    /// One honest update a row: .npy (floats or integers) or .csv without a header
    file: PathBuf,
    /// Byzantine clients beside the rows of the file; one row is printed for each
    #[arg(long, default_value_t = 1)]
    byzantine: usize,
    /// The rule or chain that an optimised factor is optimised against, as for aggregate
    #[arg(long, value_name = "SPEC")]
    defence: Option<String>,
    /// Seed of attacks that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a .npy file instead of printing CSV
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Shapes, classes, clients and balance of a data source
    Info {
        /// A name (shoulder), an .npz file, or inline TOML: '{ synthetic = { samples = 900 } }'
        source: String,
    },
    /// Write a data source as an .npz file, with lengths, parts and natural clients
    Convert {
        /// As for info: '{ uci-har = { path = "UCI HAR Dataset" } }'
        source: String,
        /// The file to write; one that is there is replaced
        out: PathBuf,
        /// Make features of a modality by a TorchScript module: audio=network.pt; a module is code, load only what you trust
        #[arg(long, value_name = "MODALITY=MODULE")]
        through: Vec<String>,
    },
}

/// Does what was asked; gives the exit code.
///
/// # Errors
/// Whatever ended the command early, with its own exit code.
pub fn execute(arguments: Arguments) -> Result<u8> {
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Merge(arguments) => run::merge(&arguments),
        Command::Report { dir } => run::report(&dir),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Gate(arguments) => gate::gate(&arguments),
        Command::List { family } => list::list(family.as_deref()),
        Command::Aggregate(arguments) => try_out::aggregate(&arguments),
        Command::Attack(arguments) => try_out::attack(&arguments),
        Command::Data(DataCommand::Info { source }) => data::info(&source),
        Command::Data(DataCommand::Convert { source, out, through }) => data::convert(&source, &out, &through),
        Command::Eval(arguments) => eval::eval(&arguments),
    }
}

impl ScenarioArguments {
    /// Checks the scenario and reads its data.
    fn study(&self) -> Result<fedrobust::sweep::study::Study> {
        // The scenario's own faults first: they do not depend on the machine.
        let loaded = self.load()?;
        if self.tf32 {
            fedrobust::device::allow_tf32()?;
        }
        let device = fedrobust::device::choose(&self.device)?;
        fedrobust::sweep::study::Study::new(loaded, device)
    }

    /// Checks the scenario without its data.
    fn load(&self) -> Result<fedrobust::scenario::Loaded> {
        fedrobust::scenario::load(&self.file, &self.set)
    }

    fn threads(&self) -> Result<usize> {
        match self.threads {
            Some(0) => Err(fedrobust::fault::Error::Invalid(
                "--threads 0: is too small; allowed: a whole number from 1. Leave it out to use all cores.".into(),
            )),
            Some(threads) => Ok(threads),
            None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        }
    }
}

/// Prints to standard error; that nobody reads it is no fault either.
pub fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints to standard output; a reader that went away (`| head`) is no fault.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_says_what_it_is_for() {
        let root = Arguments::command();
        let mut commands: Vec<&clap::Command> = vec![&root];
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            commands.extend(command.get_subcommands());
        }
    }
}
