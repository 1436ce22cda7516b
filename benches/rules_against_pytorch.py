#!/usr/bin/env python3
"""The rules against straightforward PyTorch, in turn, on the same threads.

    cargo bench --bench rules --no-run
    python3 benches/rules_against_pytorch.py [--turns 3] [--threads 2] [--n 10 100] [--p 10000 420000] [--python PYTHON]

`--python` names a Python with torch, and scikit-learn for the rules that cluster; it is given rows of up to 2 GB, since its sorts take
several times as much, ours up to 4.1 GB. Runs benches/rules.rs and benches/rules_pytorch.py one after the other, a case at a time,
and prints a table in Markdown: seconds (medians over the turns), share of the roofline, ratio.
"""
import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def bench():
    built = subprocess.run(
        ["cargo", "bench", "--bench", "rules", "--no-run", "--message-format=json"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return next(line.split('"executable":"')[1].split('"')[0] for line in built.splitlines() if '"name":"rules"' in line and '"executable":"' in line)


def table(command):
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return lines[0], {tuple(line[:3]): line[3:] for line in lines if len(line) >= 4 and line[1].isdigit()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--n", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--p", type=int, nargs="+", default=[10_000, 420_000, 10_000_000])
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    ours_at, ours, theirs, machine = bench(), {}, {}, []
    for n in arguments.n:
        for p in arguments.p:
            if 4 * n * p > 4.1e9:
                continue
            for _ in range(arguments.turns):
                size = ["--n", n, "--p", p, "--threads", arguments.threads]
                first, found = table([ours_at, *size])
                machine.append((float(first[1]), float(first[4])))
                for case, cells in found.items():
                    ours.setdefault(case, []).append(cells)
                _, found = table([arguments.python, ROOT / "benches/rules_pytorch.py", *size])
                for case, cells in found.items():
                    theirs.setdefault(case, []).append(float(cells[0]))
    copy, gemm = (statistics.median(values) for values in zip(*machine))
    print(f"copy {copy:.1f} GB/s, GEMM {gemm:.0f} GFLOP/s, {arguments.threads} threads, {arguments.turns} turns\n")
    print("| rule | n | P | seconds | GB/s | GFLOP/s | share of roofline | PyTorch / ours |")
    print("|---|---|---|---|---|---|---|---|")
    for case, turns in ours.items():
        if turns[0][0] == "refused":
            print("|", " | ".join(case), "| refused | | | | |")
            continue
        seconds = statistics.median(float(cells[0]) for cells in turns)
        middle = min(turns, key=lambda cells: abs(float(cells[0]) - seconds))
        share = statistics.median(float(cells[3]) for cells in turns)
        ratio = f"{statistics.median(theirs[case]) / seconds:.1f}" if case in theirs else ""
        print("|", " | ".join(case), f"| {seconds:.6f} | {middle[1]} | {middle[2]} | {share:.2f} | {ratio} |")


if __name__ == "__main__":
    main()
