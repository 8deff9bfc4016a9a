"""Three organisations train one model over mutual TLS, and two programs are killed on the way.

One coordinator and three agents, each a process with a folder of its own. The script ends with
the hash of their model beside that of the same training in one process: they are the same bytes.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from brands import MINIMUM_ROWS, PARAMETERS, built, declared, in_one_process

from fed_audience.demo.settings import AS_OF
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of

if TYPE_CHECKING:
    from fed_audience.jobs.train import TrainedModel

COMMAND: Final = str(Path(sys.executable).with_name("fed-audience"))
WAIT_S: Final = 600.0


class Organisations:
    """Folders `operator` and one a brand below ``folder``, and the processes in them."""

    def __init__(self, folder: Path, brands: tuple[str, ...], stack: ExitStack) -> None:
        self.folder = folder
        self.brands = brands
        self.port = free_port()
        self._stack = stack
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def config(self, who: str) -> Path:
        """Return the federation.yml of the operator or a brand."""
        return self.folder / who / "federation.yml"

    def command(self, who: str, *arguments: str) -> str:
        """Run a `fed-audience` command in the folder of ``who``; return what it printed."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder / who,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{who}: fed-audience {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def start(self, who: str) -> None:
        """Start the coordinator in the operator's folder, or the agent in a brand's."""
        if who == "operator":
            arguments = ["coordinator"]
        else:
            arguments = ["agent", "--as-of", f"{AS_OF:%Y-%m-%dT%H:%M}"]
        log = self._stack.enter_context((self.folder / who / "log.jsonl").open("ab"))
        process = subprocess.Popen(
            [COMMAND, *arguments, "--json-logs"], cwd=self.folder / who, stderr=log, stdout=log
        )
        self._processes[who] = process
        self._stack.callback(end, process)

    def kill(self, who: str) -> None:
        """End a program as a power cut does."""
        process = self._processes.pop(who)
        process.kill()
        process.wait()

    def check_alive(self) -> None:
        """Leave when a program has ended by itself, with the end of its log."""
        for who, process in self._processes.items():
            if process.poll() is not None:
                log = (self.folder / who / "log.jsonl").read_text().splitlines()[-5:]
                raise SystemExit(f"{who} ended with {process.returncode}:\n" + "\n".join(log))

    def status(self) -> dict[str, Any]:
        """Return what the coordinator wrote of itself last."""
        path = self.folder / "operator" / "coordinator" / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def wait(self, what: str, arrived: Any) -> dict[str, Any]:
        """Wait until ``arrived(status)``."""
        deadline = time.monotonic() + WAIT_S
        while not arrived(status := self.status()):
            self.check_alive()
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {WAIT_S:g} s in vain: {what}; {json.dumps(status)}")
            time.sleep(0.1)
        print(what, flush=True)
        return status


def main() -> None:
    """Build the brands, train in one process, then between four, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(__file__).with_name("prepared"))
    parser.add_argument("--data", type=Path, help="Where the brands are built. [default: DIR/data]")
    parser.add_argument("--customers", type=int, default=6_000)
    arguments = parser.parse_args()
    copies = [arguments.dir / name for name in ("together", "apart")]
    brands = built(arguments.data or arguments.dir / "data", arguments.customers, copies)
    together = in_one_process(arguments.dir / "together", brands)
    print(f"in one process:        {together.result.sha256}", flush=True)
    with ExitStack() as stack:
        organisations = Organisations(arguments.dir / "apart", brands, stack)
        found(organisations, together)
        join(organisations)
        apart = train_apart(organisations)
    print(f"three organisations:   {apart}")
    held = {brand: registered(organisations, brand) for brand in brands}
    if {together.result.sha256, apart, *held.values()} != {apart}:
        raise SystemExit(f"the models differ: {together.result.sha256}, {apart}, {held}")
    print("the same model, to the byte, at every brand")
    verify_log(organisations)


def found(organisations: Organisations, together: TrainedModel) -> None:
    """Make the operator's folder and write what every brand is to sign."""
    (organisations.folder / "operator").mkdir()
    listen = f"127.0.0.1:{organisations.port}"
    organisations.command("operator", "federation", "init", "three", "--listen", listen)
    config = organisations.config("operator")
    document = yaml.safe_load(config.read_text())
    document["coordinator"] |= {"metrics": None, "poll_seconds": 0.5, "deadline_seconds": 120}
    document["minimum_rows"] = MINIMUM_ROWS
    document["models"] = [declared(together)]
    config.write_text(yaml.safe_dump(document, sort_keys=False))


def join(organisations: Organisations) -> None:
    """Invite every brand, let it join with its token, start its agent, and sign."""
    organisations.start("operator")
    organisations.wait("the coordinator is up", lambda status: status)
    for brand in organisations.brands:
        invitation = organisations.folder / brand / "invitation"
        organisations.command("operator", "federation", "invite", brand, "--out", str(invitation))
        organisations.command(
            brand, "site", "join", "--token-file", str(invitation), "--project", "project"
        )
        config = organisations.config(brand)
        document = yaml.safe_load(config.read_text())
        document["agent"] |= {"metrics": None, "score": False}
        config.write_text(yaml.safe_dump(document, sort_keys=False))
    for brand in organisations.brands:
        organisations.start(brand)
    organisations.wait(
        "every brand has joined and is connected",
        lambda status: [site["connected"] for site in status["sites"]] == [True] * 3,
    )
    for brand in organisations.brands:
        organisations.command(brand, "federation", "sign", brand)


def train_apart(organisations: Organisations) -> str:
    """Let the brands train; kill an agent and the coordinator on the way; return the hash."""
    victim = organisations.brands[1]
    trees = PARAMETERS["n_estimators"]
    organisations.wait("the run is under way", lambda status: status["trees"][0] >= trees // 6)
    organisations.kill(victim)
    print(f"killed the agent of {victim}", flush=True)
    organisations.start(victim)
    organisations.wait("half of the trees", lambda status: status["trees"][0] >= trees // 2)
    organisations.kill("operator")
    print("killed the coordinator", flush=True)
    organisations.start("operator")
    ended = organisations.wait(
        "every brand has registered the model",
        lambda status: any(run["stage"] == "settled" for run in status["runs"]),
    )
    (run,) = ended["runs"]
    if run["status"] != "succeeded":
        raise SystemExit(f"the run is {run['status']}: {run['why']}")
    fetch_log(organisations, run["run"])
    return str(run["model_sha256"])


def fetch_log(organisations: Organisations, run: str) -> None:
    """Let a brand fetch the log of the run, and check it against what it counter-signed."""
    brand = organisations.brands[0]
    organisations.command(brand, "audit", "fetch", run)
    print(f"{brand} has fetched the audit log, and it is the one that it signed", flush=True)


def verify_log(organisations: Organisations) -> None:
    """Verify the coordinator's log with the keys and the checkpoints that the brands have."""
    first = organisations.folder / organisations.brands[0] / "audit" / "federation"
    options = ["--keys", str(first / "trusted.keys")]
    for brand in organisations.brands:
        options += ["--kept", str(organisations.folder / brand / "audit" / "federation")]
    print(organisations.command("operator", "audit", "verify", "audit", *options), flush=True)


def registered(organisations: Organisations, brand: str) -> str:
    """Return the hash of the model in the brand's own warehouse."""
    settings = load_federation(organisations.config(brand))
    with site_of(settings.sites[0]).open() as warehouse:
        sql = "select model_sha256 from fed_audience.model_registry where is_active"
        return str(warehouse.query(sql)["model_sha256"][0].as_py())


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found_socket:
        found_socket.bind(("127.0.0.1", 0))
        return int(found_socket.getsockname()[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program in an orderly way, or at once if it does not listen."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
