//! The device that computes, and the only `unsafe` in the crate: loading libtorch's CUDA half.

use crate::fault::{Error, Result};
use tch::{Cuda, Device};

/// The libtorch that this crate is built for.
pub const LIBTORCH: &str = "2.11.0";

/// Picks a device by name: `auto` (CUDA when there is one), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::Invalid`] for an unknown name, [`Error::Machine`] for a CUDA device that is not there.
pub fn choose(name: &str) -> Result<Device> {
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" => return Ok(if cuda_devices() > 0 { Device::Cuda(0) } else { Device::Cpu }),
        "cuda" => 0,
        _ => match name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(index) => index,
            None => {
                return Err(Error::Invalid(format!(
                    "--device {name}: is not a device; allowed: auto, cpu, cuda, cuda:N (N = 0, 1, …)"
                )));
            }
        },
    };
    match cuda_devices() as usize {
        0 => Err(Error::Machine(format!(
            "--device {name}: this machine shows no CUDA device to libtorch; use --device cpu, or check the driver (nvidia-smi) and that libtorch is the CUDA build (libtorch_cuda.so in its lib folder)"
        ))),
        n if index >= n => {
            Err(Error::Machine(format!("--device {name}: there are {n} CUDA devices, cuda:0 to cuda:{}", n - 1)))
        }
        _ => Ok(Device::Cuda(index)),
    }
}

/// `cpu`, `cuda:0`…
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_string(),
    }
}

/// What results depend on beyond rounding of one kind: `cpu`, `cuda`, or `cuda-tf32` where products on a GPU may round
/// their factors to TF32.
pub fn kind(device: Device, tf32: bool) -> &'static str {
    match device {
        Device::Cuda(_) if tf32 => "cuda-tf32",
        Device::Cuda(_) => "cuda",
        _ => "cpu",
    }
}

/// The variable from which libtorch reads, at its start, whether TF32 is allowed; its own switch cannot be reached through tch.
const TF32: &str = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE";

/// Whether TF32 is allowed.
pub fn tf32() -> bool {
    std::env::var(TF32).is_ok_and(|value| value == "1")
}

/// Allows TF32. Where it is not allowed yet, this program starts again in the place of its process, with the same
/// arguments.
///
/// # Errors
/// [`Error::Machine`] where it cannot be started again.
pub fn allow_tf32() -> Result<()> {
    use std::os::unix::process::CommandExt;
    if tf32() {
        return Ok(());
    }
    let failed = |e: std::io::Error| Error::Machine(format!("--tf32: cannot start again with {TF32}=1: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    Err(failed(std::process::Command::new(program).args(std::env::args_os().skip(1)).env(TF32, "1").exec()))
}

/// Bytes that are free on a GPU, as the driver's own program says; `None` where it is not there or does not know the device.
pub fn free_memory(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let query = ["--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", &physical(&visible, index)];
    let said = std::process::Command::new("nvidia-smi").args(query).output().ok()?;
    mebibytes(&String::from_utf8_lossy(&said.stdout))
}

/// What the driver calls the device with this index among the visible ones.
fn physical(visible: &str, index: usize) -> String {
    let named = visible.split(',').map(str::trim).filter(|name| !name.is_empty()).nth(index);
    named.map_or_else(|| index.to_string(), str::to_string)
}

/// A line with a whole number of MiB, in bytes.
fn mebibytes(said: &str) -> Option<u64> {
    said.trim().parse::<u64>().ok()?.checked_mul(1 << 20)
}

fn cuda_devices() -> i64 {
    load_cuda();
    if Cuda::is_available() { Cuda::device_count() } else { 0 }
}

/// The linker drops `libtorch_cuda.so` from the binary, because nothing names a symbol of it; so it is loaded here, once,
/// before CUDA is first asked for. Where it does not exist (the small install, a CPU build) the load fails and CUDA stays
/// unavailable, which is the right answer.
fn load_cuda() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: libtorch_cuda.so belongs to the libtorch this process already runs; its initialisers only register
        // kernels with it. It is never unloaded (the handle is leaked), so no symbol can dangle.
        #[allow(unsafe_code)]
        let library = unsafe { libloading::Library::new("libtorch_cuda.so") };
        if let Ok(library) = library {
            std::mem::forget(library);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_asked_for_the_device_that_is_meant() {
        let asked = [("", 1), ("3,5", 1), ("GPU-8f2a", 0), ("2", 1)].map(|(visible, index)| physical(visible, index));
        assert_eq!(asked, ["1", "5", "GPU-8f2a", "1"]);
        assert_eq!(mebibytes("143771\n"), Some(143_771 << 20));
        assert_eq!([mebibytes(""), mebibytes("No devices were found"), mebibytes("[N/A]")], [None; 3]);
        assert_eq!(free_memory(Device::Cpu), None);
    }

    #[test]
    fn tf32_makes_another_kind_of_a_gpu_and_none_of_a_cpu() {
        let kinds = [(Device::Cpu, true), (Device::Cuda(1), false), (Device::Cuda(0), true)];
        assert_eq!(kinds.map(|(device, tf32)| kind(device, tf32)), ["cpu", "cuda", "cuda-tf32"]);
    }
}
