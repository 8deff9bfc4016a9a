"""Sites of organisations that run NVIDIA FLARE: rounds as requests within a FLARE job.

FLARE brings the certificates, the connections and the life of the job; what travels is what
travels on every other transport. Both ends come from the installed package, so a job ships no
code. The server's end, in a workflow of the job:

    class Training(RoundController):
        def coordinate(self, link, local, stopped):
            link.welcome({"north": key, ...})          # roster: site -> Ed25519 public key
            result = train(link, manifest, ...)

A client's end, which answers and never asks:

    class Site(SiteExecutor):
        @contextmanager
        def stand(self, local):
            yield identity, end                        # a SiteIdentity and a SiteEnd

``local`` is the folder of the FLARE participant's own settings, which no job can write. Requests go
through FLARE's auxiliary messages: one goes to a site and one comes back each round, where FLARE's
tasks would wait for a client to ask for them.
"""

from fed_audience.errors import ResourceError

try:
    import nvflare.apis.executor  # noqa: F401 - whether it is there
except ImportError as error:
    raise ResourceError(
        f"runs through NVIDIA FLARE need the package {error.name}",
        looked="the installed packages",
        fix="pip install 'fed-audience[flare]'",
    ) from error

from fed_audience.federation.transports.flare.controller import RoundController
from fed_audience.federation.transports.flare.executor import SiteExecutor
from fed_audience.federation.transports.flare.link import FlareLink

__all__ = ["FlareLink", "RoundController", "SiteExecutor"]
