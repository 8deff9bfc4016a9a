"""One FLARE job within this process: real messages, encoded, to each client's real dispatcher."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.fuel.utils import fobs
from nvflare.private.aux_runner import AuxRunner
from nvflare.private.fed.utils.fed_utils import fobs_initialize

from fed_audience.federation.contract.member_link import SiteEnd
from fed_audience.federation.transports.flare import FlareLink, RoundController, SiteExecutor
from fed_audience.privacy.identity import SiteIdentity

JOB = "1f9a"


@dataclass
class Site:
    """A site that echoes; ``before`` is called with each round, and may raise or wait."""

    name: str
    before: Callable[[bytes], object] = lambda _: None
    rounds: int = 0

    def handle(self, body: bytes) -> bytes:
        self.before(body)
        self.rounds += 1
        return self.name.encode() + b" " + body

    def answer(self, kind: str, body: bytes) -> bytes:
        self.before(body)
        return f"{self.name} {kind} ".encode() + body


class Executor(SiteExecutor):
    """Stands for a site of this process; ``opened`` counts, ``fails`` says why it cannot."""

    def __init__(self, identity: SiteIdentity, end: SiteEnd) -> None:
        super().__init__()
        self.fails: Exception | None = None
        self.opened = 0
        self.closed = 0
        self._own = identity, end

    def stand(self, local: Path) -> AbstractContextManager[tuple[SiteIdentity, SiteEnd]]:
        return self._stand(local)

    @contextmanager
    def _stand(self, local: Path) -> Iterator[tuple[SiteIdentity, SiteEnd]]:
        assert local.name == "local"
        if self.fails is not None:
            raise self.fails
        self.opened += 1
        yield self._own
        self.closed += 1


@dataclass
class ClientEngine:
    """What an executor uses of its client's engine."""

    local: Path
    aux: AuxRunner = field(default_factory=lambda: AuxRunner(None))

    def register_aux_message_handler(self, topic: str, handler: Any) -> None:
        self.aux.register_aux_message_handler(topic, handler)

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_site_config_dir=lambda: str(self.local))

    def fire_event(self, event: str, context: FLContext) -> None:
        """Events of a client are for nobody here."""


class Job:
    """The server's engine of one job. ``cut``: clients out of reach; ``sent``: to whom.

    ``before`` is told the kind of each request that is sent. ``local``: the server's folder.
    """

    def __init__(self, local: Path = Path("/server/local")) -> None:
        fobs_initialize()
        self.local = local
        self.before: Callable[[str], object] = lambda _: None
        self.engines: dict[str, ClientEngine] = {}
        self.executors: dict[str, SiteExecutor] = {}
        self.identities: dict[str, SiteIdentity] = {}
        self.cut: set[str] = set()
        self.cut_code = ReturnCode.COMMUNICATION_ERROR
        self.sent: list[str] = []
        self.panics: list[str] = []
        self._pool = ThreadPoolExecutor(8)

    def add(self, client: str, end: SiteEnd, *, site: str, begun: bool = True) -> Executor:
        """Let ``client`` take part for ``site``; its job begins at once, or with ``begin``."""
        identity = self.identities.setdefault(site, SiteIdentity.generate(site))
        executor = Executor(identity, end)
        self.attach(client, executor, Path("/client/local"))
        if begun:
            self.begin(client)
        return executor

    def attach(self, client: str, executor: SiteExecutor, local: Path) -> None:
        """Let ``client``, whose own settings are in ``local``, take part with ``executor``."""
        self.engines[client] = ClientEngine(local)
        self.executors[client] = executor

    def begin(self, client: str) -> None:
        self.executors[client].handle_event(EventType.START_RUN, self.context_of(client))

    def end(self, client: str) -> None:
        self.executors[client].handle_event(EventType.END_RUN, self.context_of(client))

    @property
    def roster(self) -> dict[str, bytes]:
        return {site: identity.public_key for site, identity in self.identities.items()}

    def link(self, **options: Any) -> FlareLink:
        """Return the coordinator's end, with every site welcomed."""
        link = FlareLink(self, JOB, **options)
        link.welcome(self.roster)
        return link

    def context_of(self, client: str) -> FLContext:
        context = FLContext()
        for key, value in (
            (ReservedKey.ENGINE, self.engines[client]),
            (ReservedKey.RUN_NUM, JOB),
            (ReservedKey.IDENTITY_NAME, client),
        ):
            context.set_prop(key, value, private=True, sticky=False)
        return context

    # What the product uses of FLARE's server engine.

    def get_clients(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.engines]

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_site_config_dir=lambda: str(self.local))

    @contextmanager
    def new_context(self) -> Iterator[FLContext]:
        yield FLContext()

    def fire_event(self, event: str, context: FLContext) -> None:
        if event == EventType.FATAL_SYSTEM_ERROR:
            self.panics.append(context.get_prop("__event_data__"))

    def send_aux_request(
        self,
        targets: Sequence[str],
        topic: str,
        request: Shareable,
        timeout: float,
        fl_ctx: FLContext,
        optional: bool = False,  # noqa: FBT001, FBT002 - the same
    ) -> dict[str, Shareable]:
        assert isinstance(fl_ctx, FLContext)
        assert optional
        assert timeout > 0, "0 would be fire and forget"
        request.set_header(ReservedHeaderKey.TOPIC, topic)
        request.set_peer_props({"peer": "server"})
        self.before(request["kind"])
        sent = fobs.dumps(request)
        found = {}
        for name in targets:
            self.sent.append(name)
            if name in self.cut:
                time.sleep(0.001)
                found[name] = make_reply(self.cut_code)
                continue
            work = self._pool.submit(self._dispatched, name, topic, sent)
            try:
                found[name] = work.result(timeout)
            except FutureTimeoutError:
                found[name] = make_reply(ReturnCode.TIMEOUT)
        return found

    def flow(self, controller: RoundController, abort: Signal | None = None) -> None:
        """Run a workflow as FLARE's server does, and end the job at its clients."""
        context = FLContext()
        for key, value in ((ReservedKey.ENGINE, self), (ReservedKey.RUN_NUM, JOB)):
            context.set_prop(key, value, private=True, sticky=False)
        controller.initialize(context)
        try:
            controller.control_flow(abort or Signal(), context)
        finally:
            controller.stop_controller(context)
            for client in self.executors:
                self.end(client)

    def _dispatched(self, client: str, topic: str, sent: bytes) -> Shareable:
        reply = self.engines[client].aux.dispatch(topic, fobs.loads(sent), FLContext())
        back: Shareable = fobs.loads(fobs.dumps(reply))
        return back
