"""Finds connectors by their entry point; refuses those built for another interface."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

from fed_audience.activation.destination import (
    INTERFACE_VERSION,
    Destination,
    DestinationSpec,
    RemovesMembers,
)
from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GROUP = "fed_audience.destinations"


def available() -> tuple[str, ...]:
    """Return the types of destination that are installed."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load(kind: str) -> type[Destination]:
    """Return the connector of type ``kind``; raises ConfigError when it may not be used."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in points:
        near = get_close_matches(kind, sorted(points), n=1, cutoff=0.4)
        raise ConfigError(
            "no destination of that type is installed",
            value=kind,
            limit=", ".join(sorted(points)) or "none installed",
            looked=f"entry points {GROUP}",
            fix=f"did you mean '{near[0]}'?" if near else "install the package that provides it",
        )
    return _loaded(points[kind])


def open_destination(name: str, settings: Mapping[str, Any], *, base: Path) -> Destination:
    """Build the destination called ``name`` from its block in federation.yml.

    ``settings`` holds ``type`` and the connector's own keys; relative paths in it begin at
    ``base``. Raises ConfigError for an unknown type or key, or a secret that is not set.
    """
    where = f"destination '{name}' in federation.yml"
    kind = settings.get("type")
    if not isinstance(kind, str):
        raise ConfigError(
            "a destination needs a type",
            limit=", ".join(available()),
            looked=where,
            fix="add 'type:' to it",
        )
    connector = load(kind)
    own = {key: value for key, value in settings.items() if key != "type"}
    config = connector.spec.config.parse(own, source=where)
    return cast("Any", connector)(config, base=base)  # type: ignore[no-any-return]


def _loaded(point: EntryPoint) -> type[Destination]:
    source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    try:
        connector = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"destination type '{point.name}' cannot be loaded: {error}",
            looked=source,
            fix="reinstall the package that provides it",
        ) from error
    spec = getattr(connector, "spec", None)
    if not isinstance(spec, DestinationSpec):
        raise ConfigError(
            f"destination type '{point.name}' has no specification",
            looked=source,
            fix="give its class a 'spec'",
        )
    if spec.interface != INTERFACE_VERSION:
        raise ConfigError(
            f"destination type '{point.name}' is built for another interface",
            value=spec.interface,
            limit=INTERFACE_VERSION,
            looked=source,
            fix="upgrade whichever of the two is older",
        )
    if not spec.purposes or not all(spec.purposes):
        raise ConfigError(
            f"destination type '{point.name}' names no consent purpose that it serves",
            looked=source,
            fix="list its purposes in its specification; without one nothing may be sent to it",
        )
    if not hasattr(connector, RemovesMembers.remove.__name__):
        raise ConfigError(
            f"destination type '{point.name}' cannot remove people",
            looked=source,
            fix="use a connector that can; otherwise a withdrawal could not be honoured",
        )
    return cast("type[Destination]", connector)
