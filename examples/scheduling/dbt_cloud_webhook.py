"""Start the agent when dbt Cloud says that a job has completed.

dbt Cloud signs each call: header Authorization is the HMAC-SHA256 of the body under the secret of
the webhook, in hexadecimal. Put it behind the TLS of your proxy; it listens on loopback. A call
while an agent runs changes nothing, as one folder has one agent.
"""

import hmac
import json
import os
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer

COMMAND = "fed-audience agent --once --timeout 7200 --config /srv/brand/federation.yml"
LARGEST = 1_000_000


def is_signed(body: bytes, authorization: str, secret: str) -> bool:
    """Say whether dbt Cloud sent ``body``."""
    wanted = hmac.new(secret.encode(), body, "sha256").hexdigest()
    return hmac.compare_digest(wanted.encode(), authorization.encode())


def is_success(body: bytes) -> bool:
    """Say whether it tells of a job that completed without error."""
    try:
        event = json.loads(body)
        return event["eventType"] == "job.run.completed" and event["data"]["runStatus"] == "Success"
    except (ValueError, KeyError, TypeError):
        return False


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what it starts the agent for, 202 to other events, 403 to anybody else."""

    def do_POST(self) -> None:
        """Take one event."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, LARGEST))
        secret = os.environ["DBT_CLOUD_WEBHOOK_SECRET"]
        if not is_signed(body, self.headers.get("Authorization", ""), secret):
            self.send_response(403)
        elif is_success(body):
            subprocess.Popen(COMMAND.split())
            self.send_response(204)
        else:
            self.send_response(202)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", 8787), Receiver).serve_forever()
