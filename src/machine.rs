//! The kind of machine, as far as the last digit of a result depends on it.

use std::env;
use std::fs;

/// Variables that make libtorch's kernels round otherwise.
const CHOOSE_KERNELS: [&str; 5] =
    ["ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"];

/// Processor, operating system and widest vector instructions, for example
/// `x86_64 linux, Intel(R) Xeon(R) Gold 6348, avx512`; variables that choose kernels are named where they are set.
pub fn kind() -> String {
    let mut parts = vec![format!("{} {}", env::consts::ARCH, env::consts::OS)];
    parts.extend(model());
    parts.extend(vectors().map(String::from));
    parts.extend(CHOOSE_KERNELS.iter().filter_map(|name| Some(format!("{name}={}", env::var(name).ok()?))));
    parts.join(", ")
}

/// The processor's name, where Linux tells it.
fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> Option<&'static str> {
    let found = [("avx512", is_x86_feature_detected!("avx512f")), ("avx2", is_x86_feature_detected!("avx2"))];
    found.iter().find(|(_, there)| *there).map(|(name, _)| *name)
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> Option<&'static str> {
    None
}
