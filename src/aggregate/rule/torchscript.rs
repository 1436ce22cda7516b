//! `torchscript`: a rule of the user's own, without compiling anything: a TorchScript module from a file.
//!
//! Its `forward(updates [n, P], weights [n]) -> [P]` gets the round's rows and the samples behind them, f32, on the device that
//! computes, and gives the delta. Autograd is off. It may keep no state from round to round (nothing of it is
//! checkpointed), and must not write into its arguments; random numbers that it draws make a run that cannot be repeated.
//!
//! The file's content is part of a run's name, and a file that changed since the run was named is refused. A module is code:
//! it is loaded only where a scenario names it, and is to be trusted as a program is.

use super::Rule;
use crate::aggregate::Updates;
use crate::fault::{About, Checker, Error, Parameter, Result};
use crate::seed::Stream;
use crate::torchscript::{load, reason};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::{CModule, Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The module, relative to the scenario.
    pub path: PathBuf,
    /// BLAKE3 of the content that the run was named with.
    #[serde(skip)]
    pub hash: Option<String>,
}

impl Config {
    /// There is a path.
    pub fn check(&self, c: &mut Checker) {
        if self.path.as_os_str().is_empty() {
            c.fault("path", "names no file", "the path of a TorchScript module", "");
        }
    }

    /// The same with its path seen from `base`, and the hash of its content, which is a module that loads.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TorchScript module.
    pub fn resolved(&self, base: &Path) -> Result<Self> {
        let path = base.join(&self.path);
        let bytes = read(&path)?;
        load(&path, &bytes, Device::Cpu)?;
        Ok(Self { hash: Some(blake3::hash(&bytes).to_hex().to_string()), path })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        let remedy = "torchscript.path is relative to the scenario, in the shell to the current folder";
        Error::Invalid(format!("{}: cannot read this custom rule: {e}; {remedy}", path.display()))
    })
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "torchscript",
    summary: "A rule of your own: a TorchScript module from a file.",
    formula: "forward(updates [n, P], weights [n]) -> [P], f32 on the device; weights are the samples behind each row",
    source: "",
    parameters: &[Parameter {
        name: "path",
        default: "required",
        meaning: "the module, relative to the scenario; it is code: load only what you trust",
    }],
};

/// Asks the module.
pub struct TorchScript {
    config: Config,
    /// Loaded at the first round, on the device of its rows.
    module: Option<CModule>,
}

impl TorchScript {
    /// Before its first round.
    pub fn new(config: Config) -> Self {
        Self { config, module: None }
    }

    fn module(&mut self, device: Device) -> Result<&CModule> {
        if self.module.is_none() {
            let path = &self.config.path;
            let bytes = read(path)?;
            if self.config.hash.as_ref().is_some_and(|hash| *hash != blake3::hash(&bytes).to_hex().as_str()) {
                return Err(self.wrong("has changed since this sweep began; start the command again"));
            }
            self.module = Some(load(path, &bytes, device)?);
        }
        self.module.as_ref().ok_or_else(|| self.wrong("is not loaded"))
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::Failed(format!("{}: {what}", self.config.path.display()))
    }

    /// What the module gave, if it is one finite delta.
    fn checked(&self, made: Tensor, columns: i64, device: Device) -> Result<Tensor> {
        if made.size() != [columns] {
            return Err(self.wrong(format!("gave a tensor of shape {:?}; a rule gives [P] = [{columns}]", made.size())));
        }
        let made = made.f_detach()?.f_to_device(device)?.f_to_kind(Kind::Float)?;
        if made.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
            return Err(self.wrong("gave a NaN or an infinity"));
        }
        Ok(made)
    }
}

impl Rule for TorchScript {
    fn aggregate(&mut self, updates: &Updates, _stream: &Stream) -> Result<Tensor> {
        let device = updates.rows.device();
        // A module may look at rows as flat memory.
        let rows = updates.rows.f_contiguous()?;
        let weights = Tensor::f_from_slice(&updates.samples)?.f_to_kind(Kind::Float)?.f_to_device(device)?;
        let before = rows.f_internal_version()?;
        // An optimised module may compute other bytes once it is warm, so a run that goes on would differ.
        tch::jit::f_set_graph_executor_optimize(false)?;
        let made = self.module(device)?.forward_ts(&[&rows, &weights]);
        let made = made.map_err(|error| self.wrong(format!("forward(updates, weights) failed: {}", reason(&error))))?;
        if rows.f_internal_version()? != before {
            return Err(self.wrong("writes into the updates it is given; let it work on updates.clone()"));
        }
        self.checked(made, rows.size()[1], device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::numbers;

    fn fixture(name: &str) -> Config {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchscript");
        Config { path: folder.join(name), hash: None }
    }

    fn made(name: &str, rows: &[[f32; 2]], samples: &[f64]) -> Result<Vec<f64>> {
        let updates = Updates { rows: Tensor::from_slice2(rows), samples: samples.to_vec() };
        numbers(&TorchScript::new(fixture(name)).aggregate(&updates, &Stream::root(0))?)
    }

    fn said(name: &str, rows: usize) -> String {
        let error = made(name, &vec![[1.0, 2.0]; rows], &vec![1.0; rows]).unwrap_err().to_string();
        error.rsplit('/').next().unwrap().to_string()
    }

    #[test]
    fn by_hand() {
        let rows = [[1.0, 9.0], [2.0, 8.0], [5.0, 1.0]];
        assert_eq!(made("weighted_median.pt", &rows, &[1.0, 1.0, 1.0]).unwrap(), [2.0, 8.0]);
        assert_eq!(made("weighted_median.pt", &rows, &[1.0, 1.0, 7.0]).unwrap(), [5.0, 1.0]);
    }

    #[test]
    fn what_a_module_does_wrong_is_said_with_its_file() {
        assert_eq!(
            said("faulty.pt", 1),
            "faulty.pt: forward(updates, weights) failed: RuntimeError: one row is not enough for me"
        );
        assert_eq!(said("faulty.pt", 2), "faulty.pt: gave a tensor of shape [2, 2]; a rule gives [P] = [2]");
        assert_eq!(said("faulty.pt", 3), "faulty.pt: gave a NaN or an infinity");
        assert_eq!(
            said("faulty.pt", 5),
            "faulty.pt: writes into the updates it is given; let it work on updates.clone()"
        );
        let signature = said("one_argument.pt", 2);
        assert!(signature.starts_with("one_argument.pt: forward(updates, weights) failed: "), "{signature}");
        assert!(signature.contains("argument"), "{signature}");
        assert_eq!(made("faulty.pt", &[[1.0, 2.0]; 4], &[1.0; 4]).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn a_file_that_is_no_module_or_not_there_is_refused() {
        let missing = said("nothing.pt", 2);
        assert!(missing.starts_with("nothing.pt: cannot read this custom rule: "), "{missing}");
        let other = said("make.py", 2);
        assert!(other.starts_with("make.py: is no TorchScript module ("), "{other}");
        assert_eq!(fixture("make.py").resolved(Path::new("")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_file_that_changed_since_it_was_hashed_is_refused() {
        let resolved = fixture("weighted_median.pt").resolved(Path::new("")).unwrap();
        assert_eq!(resolved.hash.as_ref().map(String::len), Some(64));
        let changed = Config { hash: Some("0".repeat(64)), ..resolved.clone() };
        let updates = Updates { rows: Tensor::from_slice2(&[[1.0_f32]]), samples: vec![1.0] };
        let error = TorchScript::new(changed).aggregate(&updates, &Stream::root(0)).unwrap_err().to_string();
        assert!(error.ends_with("has changed since this sweep began; start the command again"), "{error}");
        assert!(TorchScript::new(resolved).aggregate(&updates, &Stream::root(0)).is_ok());
    }
}
