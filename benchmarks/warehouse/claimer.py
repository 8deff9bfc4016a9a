"""What waits for requests and claims them, in a process of its own: python -m ... ORDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fed_audience.jobs.service import utc_now
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.waiting import await_requests
from fed_audience.warehouse.control import claim_request, finish_request


def main(order: dict[str, Any]) -> None:
    """Claim ``claims`` requests; print when each was queued and claimed, a line of JSON each.

    Each is cancelled at once, so that the next build queues the next.
    """
    settings = load_federation(Path(order["config"]))
    model = settings.models[0]
    site = site_of(settings.sites[0])
    for _ in range(order["claims"]):
        await_requests(settings, model, clock=utc_now)
        with site.open() as warehouse:
            request = claim_request(warehouse, claimed_by="benchmark", now=utc_now())
            claimed_at = utc_now()
            if request is None:
                raise SystemExit("what was queued is gone")
            finish_request(warehouse, request.request_id, status="cancelled", now=claimed_at)
        told = {"request": request.request_id, "queued": request.requested_at.isoformat()}
        print(json.dumps({**told, "claimed": claimed_at.isoformat()}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
