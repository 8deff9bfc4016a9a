"""The server's part of a FLARE job: a workflow that sends requests instead of tasks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nvflare.apis.impl.controller import Controller

from fed_audience.errors import FedAudienceError, RunInterrupted
from fed_audience.federation.transports.flare.link import FlareLink

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)


class RoundController(Controller):  # type: ignore[misc]  # FLARE ships no types
    """Base of what a job's server configuration names as its workflow."""

    def coordinate(self, link: FlareLink, local: Path, stopped: Callable[[], bool]) -> None:
        """Do the work of the job; return when it is done.

        ``local``: FLARE's folder of the server's own settings. ``stopped`` says that the job is
        aborted. A FedAudienceError ends the job as failed, in its words; RunInterrupted does not.
        """
        raise NotImplementedError

    def start_controller(self, fl_ctx: Any) -> None:
        """Nothing is to be made ready."""

    def control_flow(self, abort_signal: Any, fl_ctx: Any) -> None:
        """Run ``coordinate`` over the clients of this job."""
        engine = fl_ctx.get_engine()
        local = Path(engine.get_workspace().get_site_config_dir())

        def stopped() -> bool:
            return bool(abort_signal.triggered)

        with FlareLink(engine, fl_ctx.get_job_id(), stopped) as link:
            try:
                self.coordinate(link, local, stopped)
            except RunInterrupted as rest:
                _LOG.info("%s", rest)
            except FedAudienceError as error:
                _LOG.error("%s", error)
                self.system_panic(str(error), fl_ctx)

    def stop_controller(self, fl_ctx: Any) -> None:
        """Nothing is left to be ended: requests under way end with the link."""

    def process_result_of_unknown_task(
        self, client: Any, task_name: str, client_task_id: str, result: Any, fl_ctx: Any
    ) -> None:
        """Say that nobody asked for it."""
        del client_task_id, result
        self.log_error(fl_ctx, f"{client.name} sent the result of a task {task_name} nobody gave")
