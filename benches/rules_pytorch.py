"""Straightforward PyTorch versions of rules, timed on the cases of rules.rs: `python3 rules_pytorch.py [NAME] [--n N] [--p P]`."""

import argparse
import functools
import importlib
import itertools
import math
import time

import torch


class Refused(Exception):
    """A rule that would take forever, or that wants a library which is not there."""


def library(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Refused from error


def default_f(n, times, more):
    """n / 5, or what the rule bears."""
    return min(n // 5, (n - more) // times)


def distances(x):
    return torch.cdist(x, x) ** 2


def clipped(x, to):
    return x * (to / x.norm(dim=1)).clamp(max=1)[:, None]


def krum_scores(d, f):
    return d.sort(dim=1).values[:, 1 : len(d) - f - 1].sum(dim=1)


def krum(x):
    return x[krum_scores(distances(x), default_f(len(x), 2, 3)).argmin()]


def multi_krum(x):
    f = default_f(len(x), 2, 3)
    return x[krum_scores(distances(x), f).argsort()[: len(x) - f]].mean(dim=0)


def bulyan(x):
    n, f = len(x), default_f(len(x), 4, 3)
    d, left, chosen = distances(x), list(range(n)), []
    for _ in range(n - 2 * f):
        among = d[left][:, left]
        near = max(len(left) - f - 2, 1)
        best = int(among.sort(dim=1).values[:, 1 : near + 1].sum(dim=1).argmin())
        chosen.append(left.pop(best))
    x, keep = x[chosen], n - 4 * f
    index = (x - x.median(dim=0).values).abs().argsort(dim=0)[:keep]
    return x.gather(0, index).mean(dim=0)


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


def subsets(n, f):
    if math.comb(n, f) > 100_000:
        raise Refused
    return (list(subset) for subset in itertools.combinations(range(n), n - f))


def mda(x):
    d = torch.cdist(x, x)
    best = min(subsets(len(x), default_f(len(x), 2, 1)), key=lambda rows: d[rows][:, rows].max())
    return x[best].mean(dim=0)


def smea(x):
    products = x @ x.T

    def largest(rows):
        k = products[rows][:, rows]
        k = k - k.mean(dim=0) - k.mean(dim=1)[:, None] + k.mean()
        return torch.linalg.eigvalsh(k)[-1]

    return x[min(subsets(len(x), default_f(len(x), 2, 1)), key=largest)].mean(dim=0)


def caf(x):
    n, f = len(x), default_f(len(x), 2, 1)
    c, least, result = torch.ones(n), math.inf, None
    while result is None or c.sum() > n - 2 * f:
        share = c / c.sum()
        mean = share @ x
        y = (x - mean) * share.sqrt()[:, None]
        values, vectors = torch.linalg.eigh(y @ y.T)
        if values[-1] < least:
            least, result = values[-1], mean
        v = y.T @ vectors[:, -1]
        out = ((x - mean) @ (v / v.norm())) ** 2
        out[c <= 0] = 0
        c = c * (1 - out / out.max())
    return result


def monna(x):
    return x[(x - x[0]).norm(dim=1).argsort()[: len(x) - default_f(len(x), 2, 1)]].mean(dim=0)


def by_angle(x):
    unit = x / x.norm(dim=1)[:, None]
    d = (1 - unit @ unit.T).clamp(min=0).double().fill_diagonal_(0)
    return ((d + d.T) / 2).numpy()  # a library refuses what rounding leaves unsymmetric


def clipped_clustering(x):
    cluster = library("sklearn.cluster")
    two = cluster.AgglomerativeClustering(n_clusters=2, metric="precomputed", linkage="average")
    labels = torch.from_numpy(two.fit_predict(by_angle(x)))
    return clipped(x, x.norm(dim=1).median())[labels == labels.bincount().argmax()].mean(dim=0)


def flame(x):
    cluster = library("sklearn.cluster")
    most = cluster.HDBSCAN(
        min_cluster_size=len(x) // 2 + 1, min_samples=1, metric="precomputed", allow_single_cluster=True, copy=True
    )
    kept = torch.from_numpy(most.fit_predict(by_angle(x)) == 0)
    to = x.norm(dim=1).median()
    mean = clipped(x, to)[kept].mean(dim=0)
    return mean + 1e-3 * to * torch.randn_like(mean)


def foolsgold(x):
    unit = x / x.norm(dim=1)[:, None]
    c = (unit @ unit.T).fill_diagonal_(0)
    most = c.max(dim=1).values
    c = torch.where(most[:, None] < most, c * most[:, None] / most, c)
    v = (1 - c.max(dim=1).values).clamp(0, 1)
    v = v / v.max()
    v[v == 1] = 0.99
    v = ((v / (1 - v)).log() + 0.5).clamp(0, 1)
    return v @ x / len(x)


def dnc(x):
    n, f = len(x), default_f(len(x), 2, 1)
    kept = torch.ones(n, dtype=torch.bool)
    for _ in range(5 if x.shape[1] > 10_000 else 1):
        y = x[:, torch.randperm(x.shape[1])[:10_000]]
        y = y - y.mean(dim=0)
        v = torch.linalg.svd(y, full_matrices=False).Vh[0]
        kept[((y @ v) ** 2).argsort()[n - f :]] = False
    return x[kept].mean(dim=0)


def signguard(x):
    cluster = library("sklearn.cluster")
    y = x[:, torch.randperm(x.shape[1])[: x.shape[1] // 10]]
    signs = torch.stack([(y > 0).float().mean(dim=1), (y < 0).float().mean(dim=1), (y == 0).float().mean(dim=1)], dim=1)
    labels = torch.from_numpy(cluster.KMeans(2, n_init=1).fit_predict(signs.numpy()))
    lengths = x.norm(dim=1)
    to = lengths.median()
    usual = (lengths >= 0.1 * to) & (lengths <= 3 * to) & (labels == labels.bincount().argmax())
    return clipped(x[usual], to).mean(dim=0)


def fltrust(x, server):
    trust = (x @ server / (x.norm(dim=1) * server.norm())).clamp(min=0)
    return (trust * server.norm() / x.norm(dim=1)) @ x / trust.sum()


def dp_mean(x):
    mean = clipped(x, 1).mean(dim=0)
    return mean + torch.randn_like(mean) / len(x)


def arc_mean(x):
    n, f = len(x), len(x) // 5
    lengths = x.norm(dim=1)
    return clipped(x, lengths.sort().values[n - 2 * f * (n - f) // n - 1]).mean(dim=0)


def bucketing_median(x):
    order = torch.randperm(len(x))
    return torch.stack([x[pair].mean(dim=0) for pair in order.split(2)]).median(dim=0).values


def nnm_trimmed_mean(x):
    near = torch.cdist(x, x).argsort(dim=1)[:, : len(x) - len(x) // 5]
    return trimmed_mean(torch.zeros(len(x), len(x)).scatter_(1, near, 1 / near.shape[1]) @ x)


RULES = {
    "mean": lambda x: x.mean(dim=0),
    "median": lambda x: x.median(dim=0).values,
    "trimmed-mean": trimmed_mean,
    "meamed": meamed,
    "centered-clipping": lambda x: clipped(x, 10).mean(dim=0),
    "sign-vote": lambda x: x.sign().sum(dim=0).sign(),
    "krum": krum,
    "multi-krum": multi_krum,
    "bulyan": bulyan,
    "geometric-median": geometric_median,
    "mda": mda,
    "smea": smea,
    "caf": caf,
    "monna": monna,
    "clipped-clustering": clipped_clustering,
    "flame": flame,
    "foolsgold": foolsgold,
    "dnc": dnc,
    "signguard": signguard,
    "fltrust": fltrust,
    "dp-mean": dp_mean,
    "clip+mean": lambda x: clipped(x, 10).mean(dim=0),
    "arc+mean": arc_mean,
    "bucketing+median": bucketing_median,
    "nnm+trimmed-mean": nnm_trimmed_mean,
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
                x, server = torch.randn(n, p), torch.randn(p)
                for name, rule in RULES.items():
                    if arguments.name in ("", name):
                        rule = functools.partial(rule, server=server) if name == "fltrust" else rule
                        try:
                            print(f"{name:<22} {n:>5} {p:>9} {best(rule, x):>10.6f}", flush=True)
                        except Refused:
                            pass


if __name__ == "__main__":
    with torch.no_grad():
        main()
