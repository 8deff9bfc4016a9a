"""The plan of a private run: what is released, with how much noise, and what it costs together.

Everything is decided before the first row is read, from public numbers only. The unit is one row
at one site, added or removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, isfinite, sqrt
from typing import Any, Final, Literal

from fed_audience.errors import ConfigError
from fed_audience.privacy.dp.accounting import epsilon_of, mu_of

UNIT: Final = "one row at one site"

Release = Literal["bins", "base_rate", "trees", "evaluation"]

BINS_SHARE: Final = 0.10
BASE_RATE_SHARE: Final = 0.01
"""Shares of mu^2; the trees have the rest."""

ROW_UNITS: Final = 2**10
"""Units of a counted row: noise is many units wide, so that sums of shares are as good as one."""


@dataclass(frozen=True, slots=True)
class PrivacyTerms:
    """What the sites agree on: everything that leaves is (``epsilon``, ``delta``)-private.

    ``colluders``: sites that may give their own noise away; None for a third of them, and of two
    sites one. ``evaluate``: measure the model on rows that are held out of the training. Raises
    ConfigError for a promise that is none.
    """

    epsilon: float
    delta: float
    colluders: int | None = None
    evaluate: bool = False

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):  # a whole number is one float in every JSON
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (isfinite(self.epsilon) and self.epsilon > 0):
            raise ConfigError(
                "epsilon promises nothing",
                value=self.epsilon,
                limit="above 0, and finite; 0.5 to 8 is usual",
                fix="choose epsilon 1 if in doubt",
            )
        if not 0 < self.delta < 1:
            raise ConfigError(
                "delta promises nothing",
                value=self.delta,
                limit="above 0, below 1 divided by the number of training rows",
                fix="choose delta 1e-6 if in doubt",
            )
        if self.colluders is not None and self.colluders < 0:
            raise ConfigError("colluders cannot be fewer than none", value=self.colluders, limit=0)

    def require_delta_below(self, rows: int) -> None:
        """Raise ConfigError for a delta that would let one of ``rows`` rows leave in the clear."""
        if self.delta * rows >= 1:
            raise ConfigError(
                "delta is too large: it would allow one row in so many to leave in the clear",
                value=self.delta,
                limit=f"below 1 / {rows:,} training rows = {1 / rows:.1e}",
                fix="choose a delta of a tenth of that or less, usually 1e-6",
            )


def usual_colluders(sites: int) -> int:
    """Return the sites that may collude unless said otherwise: a third; of two sites, one."""
    return 1 if sites == 2 else sites // 3  # noqa: PLR2004 - each of two knows its own noise


@dataclass(frozen=True, slots=True)
class Spending:
    """One kind of release: ``releases`` vectors that cost ``mu`` together."""

    what: Release
    releases: int
    mu: float

    def site_variance(self, sensitivity: int, honest: int) -> int:
        """Variance of one site's share of the noise, in squared units, rounded up.

        ``sensitivity``: how far one row moves a vector, in units; ``honest``: sites whose shares
        must be enough.
        """
        deviation = sensitivity * sqrt(self.releases) / self.mu
        return max(1, ceil(deviation * deviation / honest))


@dataclass(frozen=True)
class PrivacyPlan:
    """How one run spends its budget.

    ``sites`` send noisy vectors. ``secure``: only their sums can be read, so the shares of
    ``honest`` sites add up to the noise; else each site adds all of it. ``numeric`` features are
    counted for their bins; ``steps`` trees are grown. ``held_out``: what is released of rows that
    no tree has seen; they are others, so that mu is the larger of the two and not their sum (a row
    is in one of them: McSherry, "Privacy integrated queries", 2009, theorem 4). Raises ConfigError.
    """

    terms: PrivacyTerms
    sites: int
    secure: bool
    numeric: int
    steps: int
    spendings: tuple[Spending, ...] = field(init=False)
    held_out: Spending | None = field(init=False)

    def __post_init__(self) -> None:
        if self.colluders >= self.sites:
            raise ConfigError(
                "every site may collude, so nobody's noise hides anybody",
                value=f"{self.colluders} of {self.sites} sites",
                limit=f"at most {self.sites - 1}",
                fix="lower the number of colluders",
            )
        bins = BINS_SHARE if self.numeric else 0.0
        shares: tuple[tuple[Release, int, float], ...] = (
            ("bins", 1, bins),
            ("base_rate", 1, BASE_RATE_SHARE),
            ("trees", self.steps, 1 - bins - BASE_RATE_SHARE),
        )
        mu = mu_of(self.terms.epsilon, self.terms.delta)
        spendings = tuple(Spending(w, n, mu * sqrt(share)) for w, n, share in shares if share)
        object.__setattr__(self, "spendings", spendings)
        measured = Spending("evaluation", 1, self.mu) if self.terms.evaluate else None
        object.__setattr__(self, "held_out", measured)

    @property
    def colluders(self) -> int:
        """Sites that may give their noise away without breaking the promise."""
        given = self.terms.colluders
        return usual_colluders(self.sites) if given is None else given

    @property
    def honest(self) -> int:
        """Sites whose shares together are all the noise that was promised."""
        return self.sites - self.colluders if self.secure else 1

    @cached_property
    def mu(self) -> float:
        """Mu of the whole run, from its spendings."""
        return sqrt(sum(spending.mu**2 for spending in self.spendings))

    def spending(self, what: Release) -> Spending:
        """Return what is spent on one kind of release. Raises KeyError where nothing is."""
        known = (*self.spendings, self.held_out) if self.held_out else self.spendings
        return {spending.what: spending for spending in known}[what]

    def site_variance(self, what: Release, sensitivity: int) -> int:
        """Variance of one site's share in each element of a release, in squared units."""
        return self.spending(what).site_variance(sensitivity, self.honest)

    def sum_deviation(self, what: Release, sensitivity: int) -> float:
        """Return the deviation of all sites' noise together in one element of a sum, in units."""
        return sqrt(self.sites * self.site_variance(what, sensitivity))

    def epsilon_against(self, colluders: int) -> float:
        """Epsilon that holds when ``colluders`` sites give their noise away, at the same delta."""
        if not self.secure:
            return epsilon_of(self.mu, self.terms.delta)
        left = self.sites - colluders
        if left <= 0:
            raise ConfigError(
                "no site is left to protect", value=colluders, limit=f"below {self.sites}"
            )
        return epsilon_of(self.mu * sqrt(self.honest / left), self.terms.delta)

    def sentence(self) -> str:
        """Say in words what was promised, and against whom."""
        sites = "site colludes" if self.colluders == 1 else "sites collude"
        against = f"also if {self.colluders} {sites}" if self.secure else "each site for itself"
        promise = f"({self.terms.epsilon:g}, {self.terms.delta:g})-private"
        return f"everything that left a site is {promise} for {UNIT}, {against} (mu {self.mu:.4f})"

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON knows it: what was promised, to whom, and for what."""
        return {
            "epsilon": self.terms.epsilon,
            "delta": self.terms.delta,
            "mu": self.mu,
            "unit": UNIT,
            "secure": self.secure,
            "sites": self.sites,
            "colluders": self.colluders,
            "epsilon_against_colluders": {
                str(count): self.epsilon_against(count) for count in range(self.sites)
            },
            "spent_on": [
                {
                    "what": spending.what,
                    "releases": spending.releases,
                    "mu": spending.mu,
                    "share": spending.mu**2 / self.mu**2,
                }
                for spending in self.spendings
            ],
            "held_out": None
            if self.held_out is None
            else {"what": self.held_out.what, "releases": 1, "mu": self.held_out.mu},
        }
