"""Gradient centralisation."""

from __future__ import annotations

import torch

from seedlab.techniques.gradient_centralisation import GradientCentralisationSpec
from seedlab.training.techniques.gradient_centralisation import GradientCentralisationStep
from tests.suites.technique import TechniqueSuite


class TestGradientCentralisation(TechniqueSuite):
    technique = GradientCentralisationSpec
    variants = {"on": GradientCentralisationSpec(active=True)}


def test_matrices_alone_are_centred() -> None:
    """By (2 - 3, 4 - 3) for a single run, and for each of several."""
    matrix, bias = torch.tensor([[2.0, 4.0]]), torch.tensor([5.0, 7.0])
    step = GradientCentralisationStep(frozenset({"matrix"}))
    for runs in ((), (3,)):
        gradients = {
            n: t.expand(*runs, *t.shape).clone() for n, t in (("matrix", matrix), ("bias", bias))
        }
        step.change_gradients(0, gradients)
        assert torch.equal(gradients["matrix"], torch.tensor([[-1.0, 1.0]]).expand(*runs, 1, 2))
        assert torch.equal(gradients["bias"], bias.expand(*runs, 2))
