"""`coordinator` and `agent` in federation.yml: the two programs that run for long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError
from fed_audience.warehouse.key_buckets import BUCKETS

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]


class ProcessSettings(StrictModel):
    """What both programs need.

    ``folder``: lock, state and checkpoints. ``certificates``: folder of `certificate.pem`,
    `certificate.key` and `authority.pem`, read again when they are renewed. ``metrics``: address of
    the Prometheus page, null for none; whoever reaches it reads names of models and sites.
    """

    folder: Path
    certificates: Path = Path("certificates")
    metrics: Address | None = None
    poll_seconds: Seconds = 2.0

    def resolved(self, base: Path) -> Self:
        """Return the settings with paths that begin at ``base``."""
        return self.model_copy(
            update={
                "folder": (base / self.folder).resolve(),
                "certificates": (base / self.certificates).resolve(),
            }
        )


class CoordinatorSettings(ProcessSettings):
    """`fed-audience coordinator`: it sums, and sees no row.

    ``listen``: where agents connect, and new sites bring their token; no other port is needed.
    ``host``: the name under which sites reach it. ``deadline_seconds``: how
    long a site may take for one answer before it counts as missing; ``retries``: how often it is
    asked again. ``patience_seconds``: how long a run rests for a missing site before it ends with
    the trees that it has.
    """

    folder: Path = Path("coordinator")
    listen: Address = "127.0.0.1:7443"
    host: Annotated[str, Field(min_length=1)] = "localhost"
    metrics: Address | None = "127.0.0.1:9464"
    deadline_seconds: Seconds = 600.0
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    patience_seconds: Annotated[float, Field(gt=0.0)] = 86_400.0


class SpreadSettings(StrictModel):
    """`rows` of an agent: workers of a cluster, each of which reads its share of the rows itself.

    ``address``: of the brand's own Ray cluster, as `ray.init` takes it: 'auto' for the one that the
    agent's machine belongs to, 'local' to start one for the agent alone. ``cpus``: of each worker,
    its threads too.
    """

    engine: Literal["ray"]
    workers: Annotated[int, Field(ge=1, le=BUCKETS // 4)]
    cpus: Annotated[int, Field(ge=1, le=256)] = 1
    address: Annotated[str, Field(min_length=1)] = "auto"


class AgentSettings(ProcessSettings):
    """`fed-audience agent`: the program beside one brand's warehouse.

    ``coordinator``: where it connects to, from inside to outside; null where NVIDIA FLARE carries
    the rounds. ``score``: whether customers are scored as soon as a model is there.
    ``continuation``: whether the brand adds trees of its own to a shared model, at home, where they
    win on rows held out there; never to one with noise. ``rows``: who holds the rows of a run, the
    agent itself without it; it changes no byte that leaves.
    """

    folder: Path = Path("agent")
    coordinator: Address | None
    metrics: Address | None = "127.0.0.1:9465"
    score: bool = True
    continuation: bool = False
    rows: SpreadSettings | None = None

    @model_validator(mode="after")
    def _spread_rows_grow_no_trees(self) -> Self:
        if self.rows is not None and self.continuation:
            message = (
                "continuation: trees of a brand's own grow in one process, and rows spreads them"
                " over workers; leave one of the two out"
            )
            raise ValueError(message)
        return self

    @property
    def address(self) -> str:
        """Where the coordinator listens. Raises ConfigError where there is no such place."""
        if self.coordinator is None:
            raise ConfigError(
                "this site has no address of a coordinator: NVIDIA FLARE carries its rounds",
                looked="agent.coordinator in federation.yml",
                fix="ask the operator, or give the address to use the site without FLARE",
            )
        return self.coordinator
