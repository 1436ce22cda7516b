"""Straightforward PyTorch versions of rules, timed on the cases of rules.rs: `python3 rules_pytorch.py [NAME] [--n N] [--p P]`."""

import argparse
import time

import torch


def distances(x):
    return torch.cdist(x, x) ** 2


def multi_krum(x):
    n = len(x)
    f = min(n // 5, (n - 3) // 2)
    scores = distances(x).sort(dim=1).values[:, 1 : n - f - 1].sum(dim=1)
    return x[scores.argsort()[: n - f]].mean(dim=0)


def trimmed_mean(x):
    f = len(x) // 5
    return x.sort(dim=0).values[f : len(x) - f].mean(dim=0)


def meamed(x):
    keep = len(x) - len(x) // 5
    index = (x - x.median(dim=0).values).abs().argsort(dim=0)[:keep]
    return x.gather(0, index).mean(dim=0)


def geometric_median(x):
    z = x.mean(dim=0)
    for _ in range(100):
        w = 1 / (x - z).norm(dim=1).clamp(min=1e-9)
        new = (w[:, None] * x).sum(dim=0) / w.sum()
        if (new - z).norm() <= 1e-6 * z.norm():
            break
        z = new
    return z


def centered_clipping(x):
    scale = (10 / x.norm(dim=1)).clamp(max=1)
    return (x * scale[:, None]).mean(dim=0)


RULES = {
    "mean": lambda x: x.mean(dim=0),
    "median": lambda x: x.median(dim=0).values,
    "trimmed-mean": trimmed_mean,
    "meamed": meamed,
    "centered-clipping": centered_clipping,
    "sign-vote": lambda x: x.sign().sum(dim=0).sign(),
    "multi-krum": multi_krum,
    "geometric-median": geometric_median,
}


def best(rule, x):
    times, begun = [], time.perf_counter()
    for run in range(20):
        start = time.perf_counter()
        rule(x)
        times.append(time.perf_counter() - start)
        if run > 0 and time.perf_counter() - begun > 2:
            break
    return min(times[1:] or times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--n", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--p", type=int, nargs="+", default=[10_000, 420_000, 10_000_000])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("PyTorch", torch.__version__)
    for n in arguments.n:
        for p in arguments.p:
            if n * p * 4 <= 2_000_000_000:
                x = torch.randn(n, p)
                for name, rule in RULES.items():
                    if arguments.name in name:
                        print(f"{name:<22} {n:>5} {p:>9} {best(rule, x):>10.6f}", flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
