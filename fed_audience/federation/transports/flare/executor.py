"""The client's part of a FLARE job: an executor without tasks, which answers requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from fed_audience.federation.transports.flare.answering import Answering
from fed_audience.federation.transports.flare.envelope import TOPIC

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fed_audience.federation.contract.member_link import SiteEnd
    from fed_audience.privacy.identity import SiteIdentity


class SiteExecutor(Executor):  # type: ignore[misc]  # FLARE ships no types
    """Base of what a job's client configuration names; it answers from START_RUN to END_RUN."""

    def __init__(self) -> None:
        super().__init__()
        self._answering: Answering | None = None

    def stand(self, local: Path) -> AbstractContextManager[tuple[SiteIdentity, SiteEnd]]:
        """Open the site and yield its identity and what answers for it; close it in the end.

        ``local``: FLARE's folder of this client's own settings. May raise FedAudienceError.
        """
        raise NotImplementedError

    def handle_event(self, event_type: str, fl_ctx: Any) -> None:
        """Begin and end with the job."""
        if event_type == EventType.START_RUN:
            engine = fl_ctx.get_engine()
            local = Path(engine.get_workspace().get_site_config_dir())
            self._answering = Answering(
                fl_ctx.get_identity_name(), fl_ctx.get_job_id(), lambda: self.stand(local)
            )
            engine.register_aux_message_handler(TOPIC, self._answering.on_message)
        elif event_type == EventType.END_RUN and self._answering is not None:
            self._answering.close()

    def execute(self, task_name: str, shareable: Any, fl_ctx: Any, abort_signal: Any) -> Any:
        """Refuse a task by name: rounds do not come as tasks."""
        del shareable, abort_signal
        self.log_error(fl_ctx, f"fed-audience has no task {task_name}")
        return make_reply(ReturnCode.TASK_UNKNOWN)
