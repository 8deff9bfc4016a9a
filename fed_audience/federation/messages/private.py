"""Messages of a differentially private run. Every vector in it carries the site's noise."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fed_audience.federation.messages.base import (
    Count,
    Float64Vector,
    Reply,
    Request,
    UInt32Vector,
    VectorReply,
)


class HashCategories(Request):
    """Hash the categories that the manifest declares public."""

    kind: ClassVar[int] = 11
    reveals: ClassVar[str] = "To the site: that the run begins."


class CountNoisily(Request):
    """Count the training rows by label, and by cell of each numeric feature's public range."""

    kind: ClassVar[int] = 12
    reveals: ClassVar[str] = "To the site: that the bins are being agreed."


class FixNoisyBins(Request):
    """Encode the rows with these bins, as in ``FixBins``; every row's score is ``base_score``."""

    kind: ClassVar[int] = 13
    reveals: ClassVar[str] = "To the site: the agreed cuts, category prefixes and base score."
    sizes: tuple[Count, ...]
    base_score: Annotated[float, Field(ge=-64, le=64)]
    thresholds: Float64Vector
    prefixes: UInt32Vector


class SumFeature(Request):
    """Sum gradients and hessians by bin of ``feature``.

    First add to every row's score its bin's value of ``updated``, the feature of the tree before:
    ``values`` of its bins, the missing last. The first tree comes without any.
    """

    kind: ClassVar[int] = 14
    reveals: ClassVar[str] = "To the site: the tree before, which is part of the model."
    feature: Count
    updated: Count
    values: Float64Vector


class ScoreNoisily(Request):
    """Count the rows held out by score and label; first add the last tree, as in ``SumFeature``."""

    kind: ClassVar[int] = 15
    reveals: ClassVar[str] = "To the site: the last tree, which is part of the model."
    updated: Count
    values: Float64Vector


class CategoryHashes(Reply):
    """Prefixes of the declared categories under the sites' key, feature by feature."""

    kind: ClassVar[int] = 75
    reveals: ClassVar[str] = (
        "Under which hash a declared category is known. Nothing about the site's rows."
    )
    prefixes: UInt32Vector


class NoisyCounts(VectorReply):
    """Negatives, positives, then rows by cell of each numeric feature, the missing last; noised."""

    kind: ClassVar[int] = 76
    reveals: ClassVar[str] = (
        "Training rows of the site by label, and by cell of each numeric feature's public range, "
        "each with the site's share of the noise."
    )


class BinsFixed(Reply):
    """The rows are encoded."""

    kind: ClassVar[int] = 77
    reveals: ClassVar[str] = "That the site has encoded its rows. Nothing about them."


class NoisySums(VectorReply):
    """Gradient and thrice the hessian, summed by bin of one feature, the missing last; noised."""

    kind: ClassVar[int] = 78
    reveals: ClassVar[str] = (
        "Sums of gradients and hessians of the site's training rows by bin of one feature, each "
        "with the site's share of the noise."
    )


class NoisyScores(VectorReply):
    """Rows held out by score, negatives then positives; the sum of their losses; noised."""

    kind: ClassVar[int] = 79
    reveals: ClassVar[str] = (
        "Held-out rows of the site by predicted value and label, and the sum of their losses, each "
        "with the site's share of the noise."
    )
