"""Whether training again would make the model that the brands hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.jobs.training_content import TrainedOn, trained_on
from fed_audience.warehouse.registry import active_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.jobs.training_cohort import Cohort

RETRAINS: Final = (
    "other rows, features or consents, another meta.fed_audience, other settings of the model, "
    "another contract or other sites; or --retrain"
)
"""What makes a model that is unchanged be trained again."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A model that was not trained: its last run would be repeated, to the same trees."""

    model: str
    run_id: str
    version: str
    trained_at: datetime

    def __str__(self) -> str:
        return (
            f"{self.model} unchanged, not retrained: all that it is made of is as in run "
            f"{self.run_id} of {self.trained_at:%Y-%m-%d %H:%M} UTC"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be trained, beside what the brands hold.

    ``unchanged`` is None where training is due; ``changes`` then says why, as far as earlier
    trainings are known.
    """

    unchanged: Unchanged | None
    changes: tuple[str, ...] = ()


def inputs_of(
    settings: FederationSettings, model: ModelSettings, cohort: Cohort, category_key: bytes
) -> dict[str, TrainedOn]:
    """Hash what each brand brings to a training, by site."""
    names = [one.site.name for one in cohort.participants]
    return {
        one.site.name: trained_on(
            one.rows.table, cohort.spec, settings, model, cohort.contract, names, category_key
        )
        for one in cohort.participants
    }


def compare(model: str, sites: Sequence[Site], inputs: Mapping[str, TrainedOn]) -> Comparison:
    """Compare ``inputs``, by site, with those of the active version that each site holds.

    Nothing is unchanged unless every site holds the outcome of one and the same run. A version
    that was activated by hand counts as what it was made of.
    """
    changes: dict[str, None] = {}
    runs, found = set(), None
    for site in sites:
        with site.open() as warehouse:
            held = active_version(warehouse, model)
        earlier = None if held is None else TrainedOn.from_json(held.trained_on)
        if held is None or held.run_id is None or earlier is None:
            return Comparison(None, (f"no training on record at {site.name}",))
        runs.add(held.run_id)
        found = Unchanged(model, held.run_id, held.model_version, held.created_at)
        changes |= dict.fromkeys(
            f"{what} at {site.name}" if what.startswith("rows") else what
            for what in inputs[site.name].changes(earlier)
        )
    if len(runs) > 1 and not changes:
        changes["models of different runs at the sites"] = None
    return Comparison(None if changes else found, tuple(changes))


def unchanged_since(earlier: str, model: str, site: Site, brought: TrainedOn) -> Unchanged | None:
    """Return what ``site`` holds of run ``earlier``; None unless ``brought`` is as it was then.

    The model of that run must be the active version.
    """
    with site.open() as warehouse:
        held = active_version(warehouse, model)
    if held is None or held.run_id != earlier:
        return None
    before = TrainedOn.from_json(held.trained_on)
    if before is None or brought.changes(before):
        return None
    return Unchanged(model, earlier, held.model_version, held.created_at)
