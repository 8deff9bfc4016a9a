"""Messages of a run without noise: bins, trees, evaluation and explanation."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fed_audience.federation.messages.base import (
    CodeSets,
    Count,
    Float64Vector,
    Int32Table,
    Int32Vector,
    Reason,
    Reply,
    Request,
    SiteNote,
    UInt32Vector,
    VectorReply,
)
from fed_audience.federation.messages.packing import WIDE, Packing
from fed_audience.gbdt.kernels.packed_sums import NO_SLOTS


class OpenRun(Request):
    """Start a run: the site reads its rows and freezes them."""

    kind: ClassVar[int] = 1
    reveals: ClassVar[str] = "To the site: the manifest (features, label, parameters, roster)."
    manifest: str


class CountValues(Request):
    """Count training rows by cell of the number line and by bucket of category hashes.

    ``numeric[i]`` is counted on the grid ``grids[i]`` (JSON). ``bucketed`` features by the first
    16 bits of the hash; ``refined`` ones by 24 bits within their ``survivors``, of which
    feature i has the next ``survivor_counts[i]``. ``labels``: count labels by magnitude as well.
    """

    kind: ClassVar[int] = 2
    reveals: ClassVar[str] = "To the site: which cells and buckets are well filled over all sites."
    of_all_sites: ClassVar[bool] = True
    numeric: tuple[Count, ...]
    grids: tuple[str, ...]
    bucketed: tuple[Count, ...]
    refined: tuple[Count, ...]
    survivor_counts: tuple[Count, ...]
    labels: bool = False
    survivors: UInt32Vector


class FixBins(Request):
    """Encode the rows with these bins. Feature i has the next ``sizes[i]`` cuts or prefixes.

    ``label_cap``: a power of two above every label, 1 where the objective needs none.
    """

    kind: ClassVar[int] = 3
    reveals: ClassVar[str] = "To the site: the agreed cuts, category prefixes and label cap."
    sizes: tuple[Count, ...]
    label_cap: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    thresholds: Float64Vector
    prefixes: UInt32Vector


class TreeClosing(Request):
    """Base of requests that end the trees before: their last splits, and their leaves' values.

    Trees of several classes grow together, so every node comes with its class. ``split_nodes``:
    int32[k, 4] class, node, left, right. ``split_rules``: int32[k, 3] feature, bin, missing left.
    ``left_codes``: uint8[k, 32] bits of the categories that go left. ``leaf_nodes``: int32[m, 2].
    """

    split_nodes: Int32Table
    split_rules: Int32Table
    left_codes: CodeSets
    leaf_nodes: Int32Table
    leaf_values: Float64Vector


class HistogramRequest(Request):
    """Base of requests for histograms. ``packing``: how the sums travel.

    ``wide``: int32, of the drawn features' slots those whose sums take two elements, ascending.
    """

    packing: Packing = WIDE
    wide: Int32Vector = NO_SLOTS


class StartTree(TreeClosing, HistogramRequest):
    """Close the trees before, compute gradients, build the root's histogram of each class.

    ``base_scores``: one a class. ``features``: those drawn for this round of trees, ascending;
    no other is summed.
    """

    kind: ClassVar[int] = 4
    reveals: ClassVar[str] = "To the site: the tree grown so far, which is part of the model."
    base_scores: Float64Vector
    features: Int32Vector


class GrowLevel(HistogramRequest):
    """Split nodes and build the histograms of the nodes ``build``: int32[m, 2] class, node."""

    kind: ClassVar[int] = 5
    reveals: ClassVar[str] = "To the site: the splits of one level, which are part of the model."
    split_nodes: Int32Table
    split_rules: Int32Table
    left_codes: CodeSets
    build: Int32Table


class FinishTraining(TreeClosing):
    """Close the last tree and report the validation loss."""

    kind: ClassVar[int] = 6
    reveals: ClassVar[str] = "To the site: the last tree, which is part of the model."


class WholeModel(Request):
    """Base of requests that bring every tree of a model.

    Tree t is of class t modulo the number of ``base_scores`` and has ``tree_splits[t]`` splits and
    one leaf more. ``children``: int32[s, 2] in the layout of ``gbdt.tree.Tree``.
    """

    base_scores: Float64Vector
    tree_splits: Int32Vector
    split_rules: Int32Table
    left_codes: CodeSets
    children: Int32Table
    leaf_values: Float64Vector


class ScoreValidation(WholeModel):
    """Score the validation rows with these trees and count them by score."""

    kind: ClassVar[int] = 7
    reveals: ClassVar[str] = "To the site: the model."


class ExplainRows(WholeModel):
    """Sum by feature how far each moved the scores of at most ``rows`` rows.

    ``leaf_covers``: of every leaf, to weigh branches by; empty: the site counts its own rows.
    """

    kind: ClassVar[int] = 8
    reveals: ClassVar[str] = "To the site: the model, by policy coarse shares of its branches."
    rows: Annotated[int, Field(ge=1, le=2**31 - 1)]
    leaf_covers: Int32Vector


class RunOpened(Reply):
    """The site holds the manifest and its rows.

    ``category_check`` is a hash of the category key bound to the run: equal where keys are.
    """

    kind: ClassVar[int] = 65
    reveals: ClassVar[str] = (
        "Whether the site has no rows, no positives or no negatives; which features it lacks; "
        "whether its category key equals the others'."
    )
    manifest_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    category_check: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")]
    notes: tuple[SiteNote, ...]
    missing_features: tuple[Count, ...]


class ValueCounts(VectorReply):
    """Counts by cell (then missing, then clipped), by bucket and by magnitude of the label."""

    kind: ClassVar[int] = 66
    reveals: ClassVar[str] = (
        "Training rows of the site in each cell of each feature and in each hash bucket; for a "
        "demand, how many labels lie between which powers of two."
    )


class LabelCounts(VectorReply):
    """Training rows, validation rows, weight of these; then the training rows' label sums."""

    kind: ClassVar[int] = 67
    reveals: ClassVar[str] = (
        "Training and validation rows of the site, and the sum of its training labels (of each "
        "class): a few integers."
    )


class RootHistogram(VectorReply):
    """Gradient and hessian sums by bin of all training rows, by class; the validation loss.

    Last the number of rows whose gradient was clipped to the label cap.
    """

    kind: ClassVar[int] = 68
    reveals: ClassVar[str] = (
        "Sums of gradients and hessians of the site's training rows by bin of each feature, and "
        "its validation loss after the trees before; for a demand, how many gradients were clipped."
    )


class LevelHistogram(VectorReply):
    """Gradient and hessian sums by bin, of the rows in each node of ``build``."""

    kind: ClassVar[int] = 69
    reveals: ClassVar[str] = (
        "Sums of gradients and hessians by bin of each feature, for the rows in each listed node."
    )


class ValidationLoss(VectorReply):
    """The fixed-point sum of the validation rows' losses."""

    kind: ClassVar[int] = 70
    reveals: ClassVar[str] = "The site's validation loss: 1 integer."


class ScoreHistogram(VectorReply):
    """Validation rows by score and label, and their loss or errors, as the objective sums them."""

    kind: ClassVar[int] = 71
    reveals: ClassVar[str] = (
        "Validation rows of the site by predicted value, for each label or with their labels' sum, "
        "and the sums of their losses and errors."
    )


class ContributionSums(VectorReply):
    """Fixed-point sums of |contribution| (SHAP) by feature, then the number of rows summed."""

    kind: ClassVar[int] = 72
    reveals: ClassVar[str] = "How far each feature moved the site's scores, in sum; over how many."


class Refused(Reply):
    """The site does not answer, for one of the named reasons.

    ``column`` is a name from the manifest, never a value.
    """

    kind: ClassVar[int] = 127
    reveals: ClassVar[str] = "Why a request was refused: a word of a closed list, and a column."
    reason: Reason
    column: Annotated[str, Field(max_length=500)] = ""
