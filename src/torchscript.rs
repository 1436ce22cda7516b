//! TorchScript modules from files: a rule of the user's own, a network that makes features.
//!
//! A module is code: it is loaded only where the user names it, and is to be trusted as a program is.

use crate::fault::{Error, Result};
use std::path::Path;
use tch::{CModule, Device, TchError};

/// The module that a file's bytes hold, ready to be asked; `path` is only for the message.
///
/// # Errors
/// Bytes that are no TorchScript module.
pub fn load(path: &Path, mut bytes: &[u8], device: Device) -> Result<CModule> {
    let wrong = |error: TchError| {
        Error::Invalid(format!(
            "{}: is no TorchScript module ({}); save one by torch.jit.script(module).save(path)",
            path.display(),
            reason(&error)
        ))
    };
    let mut module = CModule::load_data_on_device(&mut bytes, device).map_err(wrong)?;
    module.f_set_eval().map_err(wrong)?;
    Ok(module)
}

/// The line that says why: the last of a traceback, the first of everything else.
pub fn reason(error: &TchError) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let traceback = lines.iter().any(|line| line.contains("Traceback of TorchScript"));
    let line = if traceback { lines.last() } else { lines.first() };
    line.copied().unwrap_or("libtorch does not say why").trim_start_matches("builtins.").to_string()
}
