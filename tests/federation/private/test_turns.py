"""Every feature has one turn; the others go to those whose sums rise above their noise."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fed_audience.federation.private.turns import Turns

NOISE = 10.0
RIDGE = 15.0


class Rows:
    """Features of three bins and the missing; a tree takes its part of the gradients away."""

    def __init__(self, gradients: list[float], hessian: float = 100.0) -> None:
        self.gradients = np.array(gradients)
        self.hessian = hessian
        self.turns = Turns(len(gradients))

    def step(self, noise: float = 0.0) -> int:
        feature = self.turns.next()
        hessians = np.array([self.hessian, self.hessian, self.hessian, 0.0])
        pull = self.gradients[feature]
        sums = np.array([pull, -pull, 0.0, 0.0]) + noise
        self.turns.took(feature, sums, hessians, variance=NOISE**2, ridge=RIDGE, learning_rate=0.6)
        self.gradients[feature] *= 1 - 0.6 * self.hessian / (self.hessian + RIDGE)
        return feature


def test_the_first_turns_are_everybodys_in_order() -> None:
    rows = Rows([0.0, 500.0, 0.0, 80.0])
    assert [rows.step() for _ in range(4)] == [0, 1, 2, 3]


def test_what_noise_drowns_has_no_further_turn_while_others_promise_something() -> None:
    rows = Rows([5.0, 4_000.0, 5.0, 3_000.0])
    for _ in range(4):
        rows.step()
    assert Counter(rows.step() for _ in range(4)) == {1: 2, 3: 2}


def test_a_tree_takes_its_own_gain_off_the_promise() -> None:
    """The stronger feature does not keep the turn: what is left of it is less than the other."""
    rows = Rows([1_000.0, 900.0])
    assert [rows.step() for _ in range(4)] == [0, 1, 0, 1]


def test_a_promise_that_waits_grows() -> None:
    """The last one promises a little more than the first, which waits three times as long."""
    rows = Rows([500.0, 0.0, 520.0])
    for _ in range(3):
        rows.step()
    assert rows.turns.next() == 0


def test_where_nothing_rises_above_the_noise_features_take_turns() -> None:
    rows = Rows([0.0, 0.0, 0.0])
    assert [rows.step() for _ in range(9)] == [0, 1, 2] * 3


def test_gradients_of_noise_alone_promise_nothing_on_average() -> None:
    rng = np.random.default_rng(5)
    promises = []
    for _ in range(2_000):
        turns = Turns(1)
        turns.took(
            0,
            rng.normal(scale=NOISE, size=8),
            np.full(8, 30.0),
            variance=NOISE**2,
            ridge=RIDGE,
            learning_rate=0.6,
        )
        promises.append(turns._promises[0])
    assert abs(np.mean(promises)) < 4 * np.std(promises) / np.sqrt(len(promises))
