#!/usr/bin/env python3
"""FedMultimodal's FedAvg on UCI-HAR as a plain PyTorch loop: what `results/gallery` holds our table against.

    python3 scripts/uci_har_in_pytorch.py DATA/uci_har.npz PARTITION.json --seed 8 [--rounds 200] [--every 1]

The windows as an npz (`accelerometer`, `gyroscope`, `label`, `split`; 2 is test), the split and clients from FedMultimodal's
own partition file, its cohorts (`numpy.random.seed(round)` over client names sorted as text), hidden 128, batch 16,
SGD 0.05 momentum 0.9 weight decay 1e-5 clip 10, dropout 0.1, one thread. Initial weights, batch orders and dropout are
PyTorch's and NumPy's by --seed. Prints the training loss of every round, the macro-F1 (%) of development and test every
--every rounds, and at the end the test score at the best development round. Needs torch, numpy and scikit-learn.
"""
import argparse
import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benches"))
from pytorch_uci_har import Model  # noqa: E402

COHORT, BATCH = 10, 16


def windows(values):
    """Every window and axis normalised by itself, in float64, as FedMultimodal does."""
    values = values.astype(np.float64)
    scaled = (values - values.mean(1, keepdims=True)) / (values.std(1, keepdims=True) + 1e-5)
    return torch.from_numpy(scaled.astype(np.float32))


def train_client(model, inputs, label, rows):
    """One local epoch in the given order; the sum of the samples' losses."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-5)
    total = 0.0
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        optimizer.zero_grad()
        loss = F.cross_entropy(model([x[batch] for x in inputs]), label[batch])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        total += loss.item() * len(batch)
    return total


@torch.no_grad()
def score(model, inputs, label, rows):
    model.eval()
    starts = range(0, len(rows), 512)
    predicted = [model([x[rows[start : start + 512]] for x in inputs]).argmax(1) for start in starts]
    return 100 * f1_score(label[rows], torch.cat(predicted), average="macro")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the npz")
    parser.add_argument("partition", help="FedMultimodal's partition file, for example partition_alpha50.json")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--every", type=int, default=1, help="rounds between two evaluations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = np.load(arguments.data)
    label = torch.from_numpy(data["label"].astype(np.int64))
    inputs = [windows(data[name]) for name in ("accelerometer", "gyroscope")]
    items = json.loads(Path(arguments.partition).read_text())
    rows = {client: np.array([item[1] for item in items[client]]) for client in items}
    clients = sorted(client for client in rows if client not in ("dev", "test"))
    dev, test = rows["dev"], np.flatnonzero(data["split"] == 2)

    torch.manual_seed(arguments.seed)
    random = np.random.default_rng(arguments.seed)
    model, best = Model(128, 6), (-1.0, 0.0, 0)
    for number in range(arguments.rounds):
        np.random.seed(number)
        cohort = [clients[i] for i in np.random.choice(len(clients), COHORT, replace=False)]
        updates, losses = [], 0.0
        for client in cohort:
            local = copy.deepcopy(model)
            losses += train_client(local, inputs, label, random.permutation(rows[client]))
            updates.append((len(rows[client]), local.state_dict()))
        total = sum(samples for samples, _ in updates)
        model.load_state_dict({k: sum(n / total * update[k] for n, update in updates) for k in updates[0][1]})
        line = f"round {number + 1}: training loss {losses / total:.4f}"
        if (number + 1) % arguments.every == 0 or number + 1 == arguments.rounds:
            scores = score(model, inputs, label, dev), score(model, inputs, label, test)
            line += f", development {scores[0]:.2f}, test {scores[1]:.2f}"
            if scores[0] > best[0]:
                best = (*scores, number + 1)
        print(line, flush=True)
    print(f"seed {arguments.seed}: test {best[1]:.2f} at the best development round, {best[2]} ({best[0]:.2f})")


if __name__ == "__main__":
    main()
