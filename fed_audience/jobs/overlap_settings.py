"""`overlap:` in federation.yml: under which rules customers may be compared with a partner's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from fed_audience.config import StrictModel
from fed_audience.consent.purposes import validated
from fed_audience.errors import ConsentError
from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.overlap.terms import (
    EPSILON,
    LEAST_LIST,
    LEAST_THRESHOLD,
    ROUNDING,
    Identifier,
    Policy,
)


class OverlapSettings(StrictModel):
    """What this brand lets a partner count. Both brands of a pair must state the same rules.

    ``purpose``: of the consent that each person compared has given. ``salt``: environment variable
    of the secret that the pair shares. ``country_code`` (digits) completes national numbers.
    ``folder``: open queries and the book of those asked, kept by this brand alone.
    """

    purpose: str
    identifier: Identifier = "email"
    country_code: Annotated[str, Field(pattern="^[1-9][0-9]{0,2}$")] | None = None
    minimum_list: int = LEAST_LIST
    threshold: int = LEAST_THRESHOLD
    rounding: int = ROUNDING
    epsilon: float = EPSILON
    queries_per_month: Annotated[int, Field(ge=1, le=31)] = 4
    salt: str = "FED_AUDIENCE_OVERLAP_SALT"
    folder: Path = Path("overlap")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            validated(self.purpose)
            self.policy()
        except (ConsentError, OverlapError) as error:
            message = str(error).replace(". To mend it: ", "; ")
            raise ValueError(message) from error
        return self

    def policy(self) -> Policy:
        """Return the rules that the partner must state too."""
        return Policy(
            purpose=self.purpose,
            identifier=self.identifier,
            minimum_list=self.minimum_list,
            threshold=self.threshold,
            rounding=self.rounding,
            epsilon=self.epsilon,
        )
