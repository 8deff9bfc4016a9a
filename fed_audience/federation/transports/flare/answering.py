"""How a client of a FLARE job answers for its site: whatever goes wrong is an answer too."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from fed_audience.errors import FedAudienceError, FederationError
from fed_audience.federation.transports.flare.envelope import (
    INTRODUCTION,
    ROUND,
    answered,
    ending,
    read_request,
    refused,
)
from fed_audience.federation.transports.flare.introduction import introduce

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fed_audience.federation.contract.member_link import SiteEnd
    from fed_audience.privacy.identity import SiteIdentity

    Site = tuple[SiteIdentity, SiteEnd]

_LOG: Final = logging.getLogger(__name__)


class Answering:
    """Answers requests for the site that ``stand`` opens, in job ``job`` as FLARE's ``client``.

    FLARE ends a whole job when one client's process ends, so that nothing is raised here: an
    error of ours is told in its words, any other one by its kind alone, and the next request is
    answered again. The site is opened when the coordinator asks for whom the client speaks; when
    that fails it says so, and tries again when it is asked again.
    """

    def __init__(
        self, client: str, job: str, stand: Callable[[], AbstractContextManager[Site]]
    ) -> None:
        self._client = client
        self._job = job
        self._stand = stand
        self._open = ExitStack()
        self._site: Site | None = None
        self._ending = False
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        """Close the site: a run under way rests, and goes on in another job."""
        self._ending = True
        with self._one_at_a_time:
            self._site = None
            try:
                self._open.close()
            except Exception:  # noqa: BLE001 - the job is ending anyway
                _LOG.exception("the site was not closed in an orderly way")

    def on_message(self, topic: str, request: Any, fl_ctx: Any) -> Any:
        """Answer a request, in the way that FLARE's engine calls handlers."""
        del topic, fl_ctx
        try:
            return self._answer(request)
        except FedAudienceError as error:
            _LOG.warning("a message was refused: %s", error)
            return refused(f"{error.what}. To mend it: {error.fix}" if error.fix else error.what)
        except Exception as error:  # noqa: BLE001 - the next message may succeed
            _LOG.exception("a message could not be answered")
            return refused(type(error).__name__)

    def _answer(self, request: Any) -> Any:
        read = read_request(request)
        if read is None:
            return refused("the message is none of fed-audience")
        kind, body = read
        if kind == INTRODUCTION:
            opened = self._opened()
            if opened is None:
                return ending()
            identity, _ = opened
            return answered(introduce(identity, body, client=self._client, job=self._job))
        if kind == ROUND:
            # One that was sent again while it is computed waits, and has the same answer.
            with self._one_at_a_time:
                site = self._site
                return ending() if site is None else answered(site[1].handle(body))
        site = self._site
        return ending() if site is None else answered(site[1].answer(kind, body))

    def _opened(self) -> Site | None:
        """Return the site, opened; None when the job is ending.

        Raises FederationError, which says little: the log says all.
        """
        with self._one_at_a_time:
            if self._site is None and not self._ending:
                try:
                    self._site = self._open.enter_context(self._stand())
                except FedAudienceError as error:
                    # Where the site's files are is its own business.
                    _LOG.error("the site cannot take part: %s", error)
                    raise FederationError(f"{error.what}; its own log says more") from error
            return self._site
