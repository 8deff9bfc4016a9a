"""A brand's own copy of a model that its coordinator handed over: made at home, nothing leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fed_audience.errors import FederationError
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.model_from_text import model_from_text

if TYPE_CHECKING:
    from fed_audience.federation import Manifest
    from fed_audience.federation.messages.members import Made
    from fed_audience.jobs.agent_run import AgentRun, Station


@dataclass(frozen=True, slots=True)
class OwnModel:
    """The text of the model as the brand holds it; ``note`` tells of trees of its own."""

    text: str
    note: str = ""


def own_model(station: Station, manifest: Manifest, run: AgentRun | None, made: Made) -> OwnModel:
    """Return the shared model, or the brand's own copy where the run or the brand asks for one.

    ``manifest.brand_base``: with the base score of its own labels; that of all brands where the
    run is not at hand any more. ``agent.continuation``: with trees of its own where they win on
    rows held out at home. Raises ModelFormatError for a text that does not fit its encoder.
    """
    agent = station.settings.agent
    grows = agent is not None and agent.continuation and manifest.privacy is None
    if not (manifest.brand_base or (grows and run is not None)):
        return OwnModel(made.model_text)
    trunk = model_from_text(
        made.model_text,
        manifest.features,
        Encoder.from_json(made.encoder).bins,
        manifest.parameters.learning_rate,
    )
    if run is None:
        return OwnModel(to_text(replace(trunk, base_scores=made.base_scores)))
    copies, model = run.own_copies(), trunk
    if manifest.brand_base:
        model = copies.models(trunk)[station.name]
    if not grows:
        return OwnModel(to_text(model))
    try:
        found = copies.continuation(trunk)
    except FederationError as error:
        # Rows that are spread over workers: the shared model is not held back by that.
        return OwnModel(to_text(model), str(error))
    if not found.chosen:
        return OwnModel(to_text(model), "trees of our own did not win at home")
    note = (
        f"{found.rounds} rounds of trees of our own on the shared model: mean loss on rows held "
        f"out at home {found.gain:.4f} lower"
    )
    return OwnModel(to_text(found.on(model)), note)
