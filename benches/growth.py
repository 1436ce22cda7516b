#!/usr/bin/env python3
"""How time and memory grow: with the runs of a sweep, with the clients of a population, with the lanes of a round.

    python3 benches/growth.py [--device cpu] [--threads 2] [--svg docs/growth.svg]

Each row is one `fedrobust run` of a scenario of its own, started anew; seconds and peak memory are those of the whole
process, start included. Needs `cargo build --release` and nothing but Python.
"""

import argparse
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/fedrobust"

SCENARIO = """
question = "How does it grow?"
seeds = [{seeds}]
strategy = "fedavg"
normalise = "none"
train = {{ rounds = {rounds}, cohort = {cohort}, batch = 10 }}
evaluate.every = {rounds}
data.population = {{ clients = {clients} }}
model = {{ encoder.conv-gru = {{ channels = [8, 16, 16], hidden = 16 }}, fusion = "concat" }}
"""

# Title, what grows, its values, the scenario of a value, what seconds are divided by (name and number of a value).
SERIES = [
    ("Runs of a sweep", "runs", [1, 2, 4, 8, 16, 32],
     lambda n: dict(seeds=n, rounds=20, cohort=10, clients=100), ("a run", lambda n: n)),
    ("Clients of a population", "clients", [100, 1_000, 10_000, 100_000, 1_000_000],
     lambda n: dict(seeds=1, rounds=5, cohort=100, clients=n), ("in all", lambda n: 1)),
    ("Lanes of a round", "lanes", [10, 100, 1_000, 10_000],
     lambda n: dict(seeds=1, rounds=2, cohort=n, clients=10_000), ("a lane and round", lambda n: 2 * n)),
]


def measure(values, arguments, folder):
    """Seconds and MB of one run of the program."""
    values = {**values, "seeds": ", ".join(str(seed) for seed in range(1, values["seeds"] + 1))}
    file = folder / "growth.toml"
    file.write_text(SCENARIO.format(**values))
    out = folder / f"out-{time.monotonic_ns()}"
    command = [PROGRAM, "run", file, "--out", out, "--quiet", "--device", arguments.device, "--threads", str(arguments.threads)]
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode}: {file.read_text()}")
    return time.monotonic() - began, used.ru_maxrss / 1000


def text(x, y, words, anchor="middle", size=11, rest=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {rest}>{words}</text>'


def short(value):
    """`0.02`, `3`, `10k`, `1M`."""
    for step, letter in [(1e6, "M"), (1e3, "k")]:
        if value >= step:
            return f"{value / step:g}{letter}"
    return f"{value:g}"


def decades(values):
    """Powers of ten around the values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def chart(left, top, title, across, xs, ys, label, color):
    """One line on logarithmic axes, in a box of 230 by 150."""
    width, height = 230, 150
    x_ticks, y_ticks = decades(xs), decades(ys)
    if across == "runs":
        x_ticks = xs
    place = lambda value, ticks: math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0])
    at = lambda x, y: (left + width * place(x, x_ticks), top + height * (1 - place(y, y_ticks)))
    out = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>']
    out.append(text(left + width / 2, top - 10, title, size=13, rest='font-weight="bold"'))
    for x in x_ticks:
        out.append(text(at(x, ys[0])[0], top + height + 16, short(x)))
    for y in y_ticks:
        level = at(xs[0], y)[1]
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{level:.1f}" y2="{level:.1f}" stroke="#ddd"/>')
        out.append(text(left - 6, level + 4, short(y), "end"))
    out.append(text(left + width / 2, top + height + 34, across))
    middle = top + height / 2
    out.append(text(left - 44, middle, label, rest=f'transform="rotate(-90 {left - 44} {middle})"'))
    points = [at(x, y) for x, y in zip(xs, ys)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
    out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points]
    return "\n".join(out)


def draw(found):
    """Seconds above, memory below, a column a series."""
    parts = []
    for column, (title, across, xs, _, (unit, _)) in enumerate(SERIES):
        seconds, memory = found[title]
        left = 70 + column * 310
        parts.append(chart(left, 40, title, across, xs, seconds, f"seconds {unit}", "#0072b2"))
        parts.append(chart(left, 280, "", across, xs, memory, "peak memory, MB", "#d55e00"))
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="490" viewBox="0 0 960 490" '
            f'font-family="sans-serif" fill="#222">\n<rect width="960" height="490" fill="#fff"/>\n{body}\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--svg", type=Path, help="where to draw it")
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        measure(SERIES[0][3](1), arguments, Path(folder))  # files of libtorch into memory
        for title, across, xs, values, (unit, share) in SERIES:
            print(f"\n| {across} | seconds | seconds {unit} | peak memory, MB |\n|---|---|---|---|", flush=True)
            rows = []
            for x in xs:
                seconds, memory = measure(values(x), arguments, Path(folder))
                rows.append((seconds / share(x), memory))
                print(f"| {x:,} | {seconds:.2f} | {rows[-1][0]:.4f} | {memory:.0f} |", flush=True)
            found[title] = tuple(zip(*rows))
    if arguments.svg:
        arguments.svg.write_text(draw(found))


if __name__ == "__main__":
    main()
