#!/usr/bin/env python3
"""Does the gate catch broken rules, and is it quiet when nothing is broken?

Applies twenty small bugs, one at a time, to a copy of the sources, builds each, and asks `fedrobust gate` about it:
by digests, by equivalence alone (`--no-digest`), and with `--other-seeds` by equivalence on those. With `--clean N` it
also runs the unbroken program N times on other seeds, and with `--kernels` on other instruction sets, and counts false
alarms. What is done is kept in WORK/results.json, so that the same command goes on where it stopped.

    python3 scripts/mutations.py --check           that every bug still has its place in the sources (no build)
    python3 scripts/mutations.py --kernels --clean 100   everything; about 20 builds and 130 runs of scenarios/ci.toml
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = "scenarios/ci.toml"
AGGREGATE = "src/aggregate"

# Name, file, what stands there (once, before the tests), what the bug makes of it.
MUTATIONS = [
    ("mean drops the weights", "rule/mean.rs", "map(|weight| weight / total)", "map(|_| 1.0 / updates.len() as f64)"),
    ("mean ignores the last client", "rule/mean.rs", "let total: f64 = weights.iter().sum();",
     "let mut weights: Vec<f64> = weights;\n        if let Some(last) = weights.last_mut() { *last = 0.0; }\n        let total: f64 = weights.iter().sum();"),
    ("median is the mean", "rule/median.rs", "middle::median(&updates.rows)", "middle::middle_mean(&updates.rows, 0)"),
    ("trimmed mean cuts f - 1", "rule/trimmed_mean.rs", "middle_mean(&updates.rows, f)", "middle_mean(&updates.rows, f.saturating_sub(1))"),
    ("meamed keeps n - f + 1", "rule/meamed.rs", "closest_mean(&updates.rows, n - f, None)", "closest_mean(&updates.rows, n - f + 1, None)"),
    ("krum sums over n - f - 1 neighbours", "rule/krum.rs", "Neighbours::Paper => n.saturating_sub(f + 2)", "Neighbours::Paper => n.saturating_sub(f + 1)"),
    ("krum takes the second best", "rule/krum.rs", "ascending(&scores)[..1]", "ascending(&scores)[1..2]"),
    ("multi-krum averages one row less", "rule/multi_krum.rs", "unwrap_or(n - f)", "unwrap_or(n - f - 1)"),
    ("bulyan chooses n - f rows", "rule/bulyan.rs", "points.len() - 2 * f {", "points.len() - f {"),
    ("geometric median stops after one step", "rule/geometric_median.rs", "unwrap_or(MOST_STEPS)", "unwrap_or(1)"),
    ("centered clipping forgets its centre", "rule/centered_clipping.rs", "self.centre = Some(centre);", "self.centre = None;"),
    ("clipped clustering forgets earlier lengths", "rule/clipped_clustering.rs", "self.norms.extend(", "self.norms.clear();\n        self.norms.extend("),
    ("foolsgold keeps no history", "rule/foolsgold.rs", "self.histories.insert(*client, sum);", "self.histories.insert(*client, row.f_detach_copy()?);"),
    ("sign vote votes against", "rule/sign_vote.rs", "steps(&updates.rows, self.0.lr)", "steps(&updates.rows, -self.0.lr)"),
    ("nnm averages n - f - 1 neighbours", "pre/nnm.rs", "nearest(points, i, n - f).into_iter().for_each(|j| row[j] = 1.0 / (n - f) as f64);",
     "nearest(points, i, n - f - 1).into_iter().for_each(|j| row[j] = 1.0 / (n - f - 1) as f64);"),
    ("bucketing divides by the nominal size", "pre/bucketing.rs", "1.0 / bucket.len() as f64", "1.0 / (self.0.size + 1) as f64"),
    ("clipping forgets the root", "pre/clip.rs", "into_iter().map(f64::sqrt).collect();\n        shorten(", "into_iter().collect();\n        shorten("),
    ("arc clips one row less", "pre/arc.rs", "let short = n - 2 * f * (n - f) / n;", "let short = n + 1 - 2 * f * (n - f) / n;"),
    ("server momentum is lost", "server/sgd.rs", "self.momentum = Some(next);", "self.momentum = None;"),
    ("adam's second moment decays by beta1", "server/adaptive.rs", "Second::Adam { beta2 } => v.f_mul_scalar(beta2)?", "Second::Adam { beta2 } => v.f_mul_scalar(beta2.min(self.beta1))?"),
]

# Ending of the name under which a file lies unbroken beside its broken self.
KEPT = ".unbroken"

# Other kernels of the same libtorch: what another machine would do to the last digits.
KERNELS = [
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
    {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"},
]


def apply(tree, mutation):
    """The mutated text of the file; fails unless its place is there exactly once before the tests."""
    name, file, old, new = mutation
    path = tree / AGGREGATE / file
    code, mark, tests = path.read_text().partition("#[cfg(test)]")
    if code.count(old) != 1:
        sys.exit(f"{AGGREGATE}/{file}: '{old}' stands there {code.count(old)} times, not once ({name})")
    return path, code.replace(old, new) + mark + tests


def copy_tree(to):
    """What git tracks, or would."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def share_build(to):
    """Starts from the dependencies that are built already, as hard links: torch-sys alone takes minutes."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    for part in ["build", "deps", ".fingerprint"]:
        if (built / part).is_dir() and not (to / "debug" / part).exists():
            (to / "debug").mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-al", built / part, to / "debug" / part], check=True)
            # Ours are built anew: two builds must not write to one file.
            for own in (to / "debug" / part).glob("*fedrobust*"):
                shutil.rmtree(own) if own.is_dir() else own.unlink()


class Bench:
    def __init__(self, work):
        self.work = work
        self.tree, self.target = work / "tree", work / "target"
        self.file = work / "results.json"
        self.results = json.loads(self.file.read_text()) if self.file.exists() else {}
        work.mkdir(parents=True, exist_ok=True)
        # The same libtorch as the dependencies were built with, or all are built again.
        self.env = {**os.environ, "CARGO_TARGET_DIR": str(self.target)}
        self.env.setdefault("LIBTORCH", str(ROOT / ".libtorch/torch"))
        self.env.pop("GITHUB_ACTIONS", None)
        self.env.pop("GITHUB_STEP_SUMMARY", None)

    def keep(self, key, value):
        self.results[key] = value
        self.file.write_text(json.dumps(self.results, indent=1) + "\n")

    def build(self):
        ran = subprocess.run(["cargo", "build", "--quiet", "--bin", "fedrobust"], cwd=self.tree, env=self.env)
        if ran.returncode:
            sys.exit("the build failed")

    def gate(self, program, out, *more, env=()):
        began = time.monotonic()
        command = [program, "gate", SCENARIO, "--baseline", str(self.work / "baseline.json"), "--quiet", "--device", "cpu"]
        if out:
            command += ["--out", str(out)]
        ran = subprocess.run(command + list(more), cwd=self.tree, env={**self.env, **dict(env)}, capture_output=True, text=True)
        if ran.returncode not in (0, 1):
            sys.exit(f"{' '.join(map(str, command))}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        changed = [line.split("changed  ", 1)[1] for line in ran.stdout.splitlines() if line.startswith("changed  ")]
        return {"code": ran.returncode, "changed": changed, "seconds": round(time.monotonic() - began, 1), "failed": ran.stderr if ran.returncode and not changed else ""}


def seeds(start):
    return f"seeds=[{', '.join(str(start + i) for i in range(4))}]"


def mend(tree):
    """Takes a bug out again, also one that a kill left there."""
    for kept in tree.rglob("*" + KEPT):
        kept.replace(kept.with_name(kept.name.removesuffix(KEPT)))
        kept.with_name(kept.name.removesuffix(KEPT)).touch()


def prepare(bench):
    """The unbroken program and its baseline."""
    if not bench.tree.exists():
        # Once: a proof is of one state of the sources.
        bench.tree.mkdir(parents=True)
        copy_tree(bench.tree)
        share_build(bench.target)
    mend(bench.tree)
    clean = bench.work / "fedrobust"
    if not clean.exists():
        bench.build()
        shutil.copy2(bench.target / "debug/fedrobust", clean)
    if not (bench.work / "baseline.json").exists():
        bench.gate(clean, None, "--bless", "--reason", "the unbroken program")
    return clean


def mutate(bench, mutation, other_seeds):
    name = mutation[0]
    path, text = apply(bench.tree, mutation)
    shutil.copy2(path, path.with_name(path.name + KEPT))
    out = bench.work / "out"
    try:
        path.write_text(text)
        bench.build()
        found = {}
        ways = [("digest", []), ("equivalence", ["--no-digest"])] + [("other seeds", ["--set", seeds(101)])] * other_seeds
        for way, more in ways:
            if way != "equivalence":
                shutil.rmtree(out, ignore_errors=True)
            # The second asks about the runs of the first.
            found[way] = bench.gate(bench.target / "debug/fedrobust", out, *more)
        bench.keep(name, found)
    finally:
        mend(bench.tree)
        shutil.rmtree(out, ignore_errors=True)


def report(bench):
    results = bench.results
    done = [m for m in MUTATIONS if m[0] in results]
    mark = lambda found: "not asked" if found is None else f"caught ({len(found['changed'])} cells)" if found["code"] else "missed"
    print("| bug | digests | equivalence, same seeds | equivalence, other seeds |\n|---|---|---|---|")
    for name, *_ in done:
        print(f"| {name} | " + " | ".join(mark(results[name].get(way)) for way in ["digest", "equivalence", "other seeds"]) + " |")
    if done:
        asked = lambda way: [results[m[0]][way] for m in done if way in results[m[0]]]
        caught = lambda way: f"**{sum(found['code'] for found in asked(way))} of {len(asked(way))}**"
        print("| **caught** | " + " | ".join(caught(way) for way in ["digest", "equivalence", "other seeds"]) + " |")
    for kind, what in [("clean ", "other seeds"), ("kernel ", "other kernels, same seeds")]:
        runs = {key: value for key, value in results.items() if key.startswith(kind)}
        if runs:
            alarms = [key for key, value in runs.items() if value["code"]]
            seconds = sorted(value["seconds"] for value in runs.values())
            print(f"\n{what}: {len(alarms)} false alarms in {len(runs)} clean runs{': ' + ', '.join(alarms) if alarms else ''}; median {seconds[len(seconds) // 2]} s a run")


def todo(bench, clean, arguments):
    """What is not done yet, by key: kernels, bugs, then clean runs."""
    def ran(key, *more, env=()):
        return key, lambda: bench.keep(key, bench.gate(clean, None, *more, env=env))

    kernels = KERNELS if arguments.kernels else []
    jobs = [ran("kernel " + " ".join(f"{k}={v}" for k, v in env.items()), "--no-digest", env=env) for env in kernels]
    jobs += [(mutation[0], lambda mutation=mutation: mutate(bench, mutation, arguments.other_seeds)) for mutation in MUTATIONS]
    jobs += [ran(f"clean {i}", "--set", seeds(1000 + 10 * i)) for i in range(arguments.clean)]
    return [job for job in jobs if job[0] not in bench.results]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "target/mutations", help="where copies, builds and results go")
    parser.add_argument("--check", action="store_true", help="only check that every bug has its place")
    parser.add_argument("--report", action="store_true", help="only print what was found so far")
    parser.add_argument("--clean", type=int, default=0, metavar="N", help="clean runs on other seeds")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N steps; the same command goes on")
    parser.add_argument("--other-seeds", action="store_true", help="ask about every bug on other seeds too")
    parser.add_argument("--kernels", action="store_true", help="clean runs with other kernels")
    arguments = parser.parse_args()
    if arguments.check:
        for mutation in MUTATIONS:
            apply(ROOT, mutation)
        print(f"{len(MUTATIONS)} mutations apply")
        return
    bench = Bench(arguments.work.resolve())
    if not arguments.report:
        clean = prepare(bench)
        for key, do in todo(bench, clean, arguments)[: arguments.limit]:
            print(f"... {key}", file=sys.stderr, flush=True)
            do()
    report(bench)


if __name__ == "__main__":
    main()
