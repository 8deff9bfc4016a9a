"""What `federation.yml` says about noisy training: terms of a model, public values of features."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError
from fed_audience.federation.private.public_values import PublicValues
from fed_audience.privacy.dp.plan import PrivacyTerms

USUAL_DELTA = 1e-6


class PrivacySettings(StrictModel):
    """What everything that leaves a brand for one training of a model promises.

    ``epsilon``, ``delta`` and ``colluders`` as in `PrivacyTerms`; ``passes``: how often each
    feature has its turn, by default what suits epsilon.
    """

    epsilon: float
    delta: float = USUAL_DELTA
    colluders: int | None = None
    passes: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _promises_something(self) -> Self:
        try:
            _ = self.terms
        except ConfigError as error:
            raise ValueError(_in_a_line(error)) from error
        return self

    @property
    def terms(self) -> PrivacyTerms:
        """The terms as the sites agree on them."""
        return PrivacyTerms(self.epsilon, self.delta, self.colluders)


class PublicFeature(StrictModel):
    """What anybody may know of a feature: the range of a number, or a list of categories."""

    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        try:
            self.values_of("of that name")
        except ConfigError as error:
            raise ValueError(_in_a_line(error)) from error
        return self

    def values_of(self, feature: str) -> PublicValues:
        """Return them as a manifest declares them. Raises ConfigError."""
        return PublicValues(feature, self.low, self.high, self.categories)


def _in_a_line(error: ConfigError) -> str:
    return str(error).replace(". To mend it: ", "; ")
