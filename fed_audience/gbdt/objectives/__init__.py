"""What is learnt: one module an objective, all behind ``Objective``.

Rows become integers here, once, and every later sum is exact; that is why the model does not
depend on how the rows are spread over sites.
"""

from fed_audience.gbdt.objectives.choice import objective_of
from fed_audience.gbdt.objectives.objective import BASE_PRIOR_ROWS, Objective

__all__ = [
    "BASE_PRIOR_ROWS",
    "Objective",
    "objective_of",
]
