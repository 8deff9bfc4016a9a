"""All sites in this process: no sockets, the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import FederationError
from fed_audience.federation.enrolment import enrol_in_memory
from fed_audience.federation.site.steps import side_by_side
from fed_audience.federation.transport import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fed_audience.federation.site.program import SiteProgram


class InProcessTransport:
    """Calls site programs directly, one after the other; one masks while another's kernels run.

    Programs without an identity are enrolled with each other in memory, with their owner's leave
    to set any rule of the secure sum aside: whoever runs this process sees all rows anyway.

    ``on_message`` sees every message as it crosses a site's border, both ways.
    """

    def __init__(
        self,
        programs: Mapping[str, SiteProgram],
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        self._programs = dict(programs)
        enrol_in_memory(self._programs.values())
        self._on_message = on_message

    def sites(self) -> list[str]:
        """Names of the sites, sorted."""
        return sorted(self._programs)

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Let each site of ``to`` handle ``body``; no site is ever lost, ``timeout`` is unused."""
        del timeout
        for site in to:
            if site not in self._programs:
                raise FederationError(
                    "a site of the manifest is not in this process",
                    value=site,
                    limit=self.sites(),
                    fix="give the transport a program for each site of the manifest",
                )
            self._tell(Envelope(site, "to_site", body))

        answers = side_by_side(self._programs[site].steps(body) for site in to)
        for site, reply in zip(to, answers, strict=True):
            self._tell(Envelope(site, "from_site", reply))
            yield site, reply

    def _tell(self, envelope: Envelope) -> None:
        if self._on_message is not None:
            self._on_message(envelope)
