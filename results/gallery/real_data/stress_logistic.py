#!/usr/bin/env python3
"""What a logistic regression reaches on Stress-Predict with all data in one place: UAR over five splits of people.

    python3 results/gallery/real_data/stress_logistic.py stress.npz        # needs NumPy and scikit-learn

Class-balanced, on mean and deviation of every feature of every window; three people in ten are held out. Once as it is, once with
what each person's own recordings have in mean and deviation taken out.
"""
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

data = np.load(sys.argv[1])
label, person = data["label"], data["client"]
signals = [data[name] for name in data.files if data[name].ndim == 3]
plain = np.concatenate([part for x in signals for part in (x.mean(axis=1), x.std(axis=1))], axis=1)
own = plain.copy()
for one in np.unique(person):
    rows = person == one
    own[rows] = StandardScaler().fit_transform(own[rows])

for name, features in (("as it is", plain), ("by person", own)):
    scores = []
    for train, test in GroupShuffleSplit(n_splits=5, test_size=0.3, random_state=8).split(features, label, person):
        scaler = StandardScaler().fit(features[train])
        model = LogisticRegression(class_weight="balanced", max_iter=2000)
        model.fit(scaler.transform(features[train]), label[train])
        scores.append(recall_score(label[test], model.predict(scaler.transform(features[test])), average="macro"))
    print(f"{name}: UAR {np.mean(scores):.2f} ± {np.std(scores, ddof=1):.2f}")
