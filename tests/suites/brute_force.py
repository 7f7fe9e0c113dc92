"""Oracles that enumerate every subset, sequence and tie-breaking order."""

import itertools
import math

import numpy as np


def best_of_subsets(scores, n):
    """Mean of the maximum over all subsets of n."""
    return float(np.mean([max(s) for s in itertools.combinations(scores, n)]))


def best_of_sequences(scores, n):
    """Maximum of every sequence of n draws with replacement."""
    return np.array([max(s) for s in itertools.product(scores, repeat=n)])


def stopping_outcomes(a, b, t, p, *, replacement=False):
    """Probability of every outcome of (t, p): a dictionary of value to probability."""
    pool = range(len(a))
    draws = list(
        itertools.product(pool, repeat=t) if replacement else itertools.combinations(pool, t)
    )
    law = {}
    for drawn in draws:
        for order in itertools.permutations(range(t)):
            # A stable sort of a random order breaks ties uniformly at random.
            ranked = sorted((drawn[k] for k in order), key=lambda i: -a[i])
            best = max([b[i] for i in ranked[:p]] + [a[i] for i in ranked[p:]])
            law[best] = law.get(best, 0) + 1
    count = len(draws) * math.factorial(t)
    return {value: times / count for value, times in law.items()}


def mean_of(law):
    return sum(value * chance for value, chance in law.items())


def random_pool(generator, size, columns, *, ties):
    """Best-so-far curves of a small pool, with or without ties."""
    raw = (
        generator.integers(0, 4, (size, columns))
        if ties
        else generator.normal(size=(size, columns))
    )
    return np.maximum.accumulate(raw.astype(float), axis=1)
