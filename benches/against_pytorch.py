#!/usr/bin/env python3
"""fedrobust against eager PyTorch on UCI-HAR: the same protocol, in turn, on the same device and threads.

    cargo build --release
    python3 benches/against_pytorch.py DATA/uci_har.npz [--turns 3] [--rounds 6] [--runs 1] [--threads 2] [--device cpu]
                                       [--tf32] [--python PYTHON]

DATA/uci_har.npz: arrays `accelerometer` and `gyroscope` [N, 128, 3], `label`, `client`, `split` (docs/data.md).
`--python` names a Python with torch 2.11 and numpy. `--runs` is the number of runs (seeds) in one sweep of ours; theirs
does one run after another, so one is timed. `--tf32` allows TensorFloat-32 products to both, on a GPU.

In each turn: the peak (f32 product of 2048³ on the same device and threads, by PyTorch), ours, theirs. Prints every turn
and a table of medians: rounds a second of one run, useful FLOP/s (padding not counted) and their share of the peak.
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = """
question = "How many rounds a second?"
seeds = {seeds}
data.npz.path = "{data}"
strategy = "fedavg"
partition.dirichlet = {{ within = "client", clients = 5, alpha = 5.0 }}
train = {{ rounds = {rounds}, cohort = 10, batch = 16 }}
"""
PEAK = """
import sys, time, torch
device = sys.argv[1]
torch.set_num_threads(int(sys.argv[2]))
a, b = torch.randn(2048, 2048, device=device), torch.randn(2048, 2048, device=device)
wait = torch.cuda.synchronize if device != "cpu" else lambda: None
times = []
for _ in range(12):
    wait(); start = time.perf_counter(); a @ b; wait(); times.append(time.perf_counter() - start)
print(2 * 2048**3 / min(times))
"""
# Training costs a forward and a backward of twice the work; samples scored a round are those of the official test part
# and a fifth of every training subject.
SCORED = 4_409
TRAINED_A_ROUND = 560


def forward_flops(hidden=128, units=512, heads=6, head=64, classes=6):
    """Multiplications and additions of one sample's forward pass: two modalities, three blocks, 16 steps of GRU each."""
    convs = sum(2 * time * 5 * a * b for time, a, b in ((128, 3, 32), (64, 32, 64), (32, 64, 128)))
    gru = 16 * 2 * 3 * hidden * (128 + hidden)
    attention = 32 * 2 * hidden * units + 32 * 2 * units * heads + 32 * 2 * heads * hidden
    return 2 * (convs + gru) + attention + 2 * heads * hidden * head + 2 * head * classes


def environment(arguments):
    return {**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1" if arguments.tf32 else "0"}


def ours(arguments):
    """Rounds a second of one run, and useful FLOP/s, without every run's first round."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder, "uci.toml")
        seeds = list(range(8, 8 + arguments.runs))
        data = Path(arguments.data).resolve()
        scenario.write_text(SCENARIO.format(data=data, rounds=arguments.rounds + 1, seeds=seeds))
        out = Path(folder, "out")
        command = [ROOT / "target/release/fedrobust", "run", scenario, "--out", out, "--device", arguments.device]
        command += ["--threads", str(arguments.threads), "--quiet"]
        subprocess.run(command, check=True, capture_output=True, env=environment(arguments))
        with open(out / "rounds.csv") as file:
            rows = [row for row in csv.DictReader(file) if int(row["round"]) > 1]
    # A row's seconds are the wall time of the lock-step divided by the runs in it.
    seconds = sum(float(row["seconds"]) for row in rows)
    trained = sum(int(row["samples"]) for row in rows)
    return len(rows) / seconds, (3 * trained + SCORED * len(rows)) * forward_flops() / seconds


def theirs(arguments):
    script = ROOT / "benches/pytorch_uci_har.py"
    command = [arguments.python, script, arguments.data, "--rounds", str(arguments.rounds)]
    command += ["--threads", str(arguments.threads), "--device", arguments.device]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(arguments))
    rate = float(done.stdout.split()[0])
    return rate, rate * (3 * TRAINED_A_ROUND + SCORED) * forward_flops()


def peak(arguments):
    command = [arguments.python, "-c", PEAK, arguments.device, str(arguments.threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(arguments))
    return float(done.stdout)


def has_device(arguments):
    if arguments.device == "cpu":
        return True
    command = [arguments.python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(command, capture_output=True).returncode == 0


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    return parser.parse_args()


def main():
    arguments = parse()
    if not has_device(arguments):
        print(f"no {arguments.device} for PyTorch here: nothing measured")
        return
    rates = {"fedrobust": [], "PyTorch": []}
    peaks = []
    for turn in range(arguments.turns):
        peaks.append(peak(arguments))
        print(f"turn {turn + 1}  peak       {peaks[-1] / 1e9:8.1f} GFLOP/s", flush=True)
        for name, run in (("fedrobust", ours), ("PyTorch", theirs)):
            rates[name].append(run(arguments))
            print(f"turn {turn + 1}  {name:<9}  {rates[name][-1][0]:8.3f} rounds/s", flush=True)
    precision = "TF32" if arguments.tf32 else "f32"
    where = f"{arguments.device}, {arguments.threads} threads" if arguments.device == "cpu" else arguments.device
    print(f"\n{where}, {precision}; {arguments.runs} runs in ours; medians of {arguments.turns} turns; ", end="")
    top = statistics.median(peaks)
    print(f"peak {top / 1e9:.1f} GFLOP/s\n\n| | rounds/s of one run | GFLOP/s | share of peak |\n|---|---|---|---|")
    medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in rates.items()}
    for name, (rate, flops) in medians.items():
        print(f"| {name} | {rate:.3f} | {flops / 1e9:.1f} | {100 * flops / top:.0f} % |")
    ratios = [a[0] / b[0] for a, b in zip(rates["fedrobust"], rates["PyTorch"])]
    print(f"\nratio of medians {medians['fedrobust'][0] / medians['PyTorch'][0]:.2f}", end="")
    print(f", by turn {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
