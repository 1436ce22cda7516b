#!/usr/bin/env python3
"""Checks and times fedrobust on a GPU: `make bench-gpu DATA=DATA/uci_har.npz [PYTHON=PYTHON]`, or

    cargo build --release
    python3 benches/gpu.py DATA/uci_har.npz [--runs 1,8,64] [--rounds 6] [--turns 3] [--python PYTHON]

Check: scenarios/smoke.toml on the CPU and on the GPU; prints the largest difference of a loss or score, and fails above
1e-2. Bench: benches/against_pytorch.py with sweeps of 1, 8 and 64 runs, in f32 and in TF32, and the same on the CPU.
Without a GPU it says so and ends with status 0.
"""
import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-2


def has_gpu(python):
    if subprocess.run(["which", "nvidia-smi"], capture_output=True).returncode != 0:
        return False
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def rows(device, folder):
    out = Path(folder, device)
    command = [ROOT / "target/release/fedrobust", "run", ROOT / "scenarios/smoke.toml", "--out", out, "--quiet"]
    subprocess.run([*command, "--device", device], check=True)
    with open(out / "rounds.csv") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k.endswith("_loss") or k.startswith(("dev_", "test_"))} for row in found]


def check():
    with tempfile.TemporaryDirectory() as folder:
        cpu, gpu = rows("cpu", folder), rows("cuda", folder)
    if len(cpu) != len(gpu):
        sys.exit(f"check: {len(cpu)} rows on the CPU, {len(gpu)} on the GPU")
    pairs = [(a[k], b[k]) for a, b in zip(cpu, gpu) for k in a if a[k] or b[k]]
    worst = max(abs(float(a) - float(b)) for a, b in pairs)
    print(f"check: {len(pairs)} losses and scores of CPU and GPU differ by at most {worst:.2e}", flush=True)
    if not worst <= TOLERANCE:
        sys.exit(f"check: that is above {TOLERANCE}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?")
    parser.add_argument("--runs", default="1,8,64")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    if not has_gpu(arguments.python):
        print("no GPU for PyTorch here: nothing checked, nothing measured")
        return
    if arguments.data is None:
        parser.error("give uci_har.npz, for example make bench-gpu DATA=DATA/uci_har.npz")
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    print(subprocess.run(query, capture_output=True, text=True).stdout, flush=True)
    check()
    bench = [sys.executable, ROOT / "benches/against_pytorch.py", arguments.data, "--python", arguments.python]
    bench += ["--rounds", str(arguments.rounds), "--turns", str(arguments.turns)]
    for runs in arguments.runs.split(","):
        for precision in ([], ["--tf32"]):
            subprocess.run([*bench, "--device", "cuda", "--runs", runs, *precision], check=True)
    subprocess.run([*bench, "--device", "cpu"], check=True)


if __name__ == "__main__":
    main()
