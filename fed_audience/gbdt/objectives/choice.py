"""From training parameters to the objective they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError
from fed_audience.gbdt.objectives.binary import Binary
from fed_audience.gbdt.objectives.multiclass import Multiclass
from fed_audience.gbdt.objectives.poisson import Poisson
from fed_audience.gbdt.objectives.regression import Regression
from fed_audience.gbdt.objectives.tweedie import Tweedie

if TYPE_CHECKING:
    from fed_audience.gbdt.objectives.objective import Objective
    from fed_audience.gbdt.parameters import TrainingParameters


def objective_of(
    parameters: TrainingParameters, *, label_cap: float = 1.0, weight_cap: float = 1.0
) -> Objective:
    """Objective that ``parameters`` name, in the fixed point that its caps call for.

    ``label_cap``: a power of two above every training label, where labels have no bound of their
    own. ``weight_cap``: a power of two, at least the weight of any row, ``scale_pos_weight``
    included. Raises ConfigError for a cap that is no power of two.
    """
    for name, cap in (("label_cap", label_cap), ("weight_cap", weight_cap)):
        if not _is_power_of_two(cap):
            raise ConfigError(
                f"{name} is not a power of two",
                value=cap,
                limit="a power of two from 2^-64 to 2^64",
                fix="take the next power of two above the largest value",
            )
    rows = parameters.row_cap
    match parameters.objective:
        case "binary":
            return Binary(rows, weight_cap, parameters.scale_pos_weight)
        case "regression":
            return Regression(rows, weight_cap, label_cap)
        case "poisson":
            return Poisson(rows, weight_cap, label_cap, parameters.poisson_max_delta_step)
        case "tweedie":
            return Tweedie(rows, weight_cap, label_cap, parameters.tweedie_variance_power)
        case "multiclass":
            return Multiclass(rows, weight_cap, parameters.num_class)


def _is_power_of_two(cap: float) -> bool:
    return 2.0**-64 <= cap <= 2.0**64 and float(cap).hex().startswith("0x1.0000000000000p")
