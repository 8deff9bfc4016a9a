"""Three brands train one model through NVIDIA FLARE, and a brand's process is killed on the way.

FLARE's own provisioning makes a startup kit for a server, three clients and an administrator, all
on this machine. The script submits the job in `job/`, which ships no code; when the killed process
has ended that job, the same job is submitted again and goes on from the checkpoints. It ends with
the hash of the model beside that of the same training in one process: they are the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session

sys.path.append(str(Path(__file__).parent.with_name("three_organisations")))
from brands import MINIMUM_ROWS, MODEL, built, declared, in_one_process

from fed_audience.demo.settings import AS_OF
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fed_audience.jobs.train import TrainedModel

HERE: Final = Path(__file__).parent
SERVER: Final = "localhost"
CLIENTS: Final = ("site-1", "site-2", "site-3")
ADMINISTRATOR: Final = "admin@operator.example"
# FLARE needs six trips a round, so fewer trees make the same point.
PARAMETERS: Final = {"n_estimators": 40, "learning_rate": 0.1, "max_depth": 4}
BIN: Final = Path(sys.executable).parent
WAIT_S: Final = 300.0


def main() -> None:
    """Build the brands, train in one process, then through FLARE, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=HERE / "prepared")
    parser.add_argument("--data", type=Path, help="Where the brands are built. [default: DIR/data]")
    parser.add_argument("--customers", type=int, default=6_000)
    arguments = parser.parse_args()
    folder: Path = arguments.dir.resolve()
    copies = [folder / "together", folder / "apart"]
    brands = built(arguments.data or folder / "data", arguments.customers, copies)
    together = in_one_process(folder / "together", brands, PARAMETERS)
    print(f"in one process:  {together.result.sha256}", flush=True)
    found(folder / "apart", brands, together)
    kits = provision(folder / "flare", free_port())
    settle_in(kits, folder / "apart", brands)
    with ExitStack() as stack:
        flare = Flare(kits, stack)
        trained = Training(folder / "apart", flare).run(brands)
    print(f"through FLARE:   {trained}")
    held = {brand: registered(folder / "apart", brand) for brand in brands}
    if {together.result.sha256, trained, *held.values()} != {trained}:
        raise SystemExit(f"the models differ: {together.result.sha256}, {trained}, {held}")
    print("the same model, to the byte, at every brand")


def found(folder: Path, brands: tuple[str, ...], together: TrainedModel) -> None:
    """Write every federation.yml, make every brand's key, and put the keys into the roster."""
    operator = {
        "name": "three",
        "minimum_rows": MINIMUM_ROWS,
        "coordinator": {"metrics": None, "poll_seconds": 0.5, "deadline_seconds": 120},
        "contract": {"minimum_sites": 3, "reports": {"every_site": ["reasons"]}},
        "models": [declared(together, PARAMETERS)],
    }
    write(folder / "operator" / "federation.yml", operator)
    for brand in brands:
        site = {
            "name": "three",
            "sites": [{"name": brand, "project": "project"}],
            "agent": {"coordinator": None, "metrics": None, "score": False},
        }
        write(folder / brand / "federation.yml", site)
        told = command(folder / brand, "identity", "create", brand)
        key = told.splitlines()[0].split()[-1]
        command(folder / "operator", "roster", "add", brand, key)


def provision(workspace: Path, port: int) -> Path:
    """Let FLARE make the startup kits for this port; return their folder."""
    shutil.rmtree(workspace, ignore_errors=True)
    project = yaml.safe_load((HERE / "project.yml").read_text())
    server = project["participants"][0]
    server["fed_learn_port"] = server["admin_port"] = port
    write(workspace / "project.yml", project)
    subprocess.run(
        [BIN / "nvflare", "provision", "-p", workspace / "project.yml", "-w", workspace],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return workspace / project["name"] / "prod_00"


def settle_in(kits: Path, folder: Path, brands: tuple[str, ...]) -> None:
    """Do what each participant does in its own `local` folder before it starts FLARE.

    It says where its federation.yml is, lets FLARE load our two classes, and no code of a job.
    """
    owners = dict(zip((SERVER, *CLIENTS), ("operator", *brands), strict=True))
    for participant, owner in owners.items():
        local = kits / participant / "local"
        own: dict[str, Any] = {"federation": str(folder / owner / "federation.yml")}
        if participant != SERVER:
            own["as_of"] = AS_OF
        write(local / "fed_audience.yml", own)
        resources = json.loads((local / "resources.json.default").read_text())
        resources["class_allow_list"].append("fed_audience.jobs.")
        if participant == SERVER:
            keep_below(kits / SERVER / "storage", resources)
        (local / "resources.json").write_text(json.dumps(resources, indent=1))
        rights = json.loads((local / "authorization.json.default").read_text())
        allowed = dict.fromkeys(("submit_job", "manage_job", "view", "operate"), "any")
        rights["permissions"]["project_admin"] = {**allowed, "byoc": "none"}
        (local / "authorization.json").write_text(json.dumps(rights, indent=1))


def keep_below(folder: Path, resources: dict[str, Any]) -> None:
    """Let the server keep jobs and snapshots here instead of where every FLARE server does."""
    storage = resources["snapshot_persistor"]["args"]["storage"]
    storage["args"]["root_dir"] = str(folder / "snapshots")
    (manager,) = (one for one in resources["components"] if one["id"] == "job_manager")
    manager["args"]["uri_root"] = str(folder / "jobs")


class Flare:
    """FLARE's server and clients as processes, until ``stack`` is left."""

    def __init__(self, kits: Path, stack: ExitStack) -> None:
        self._kits = kits
        self.processes: dict[str, psutil.Process] = {}
        for participant in (SERVER, *CLIENTS):
            log = stack.enter_context((kits / participant / "output.txt").open("ab"))
            started = subprocess.Popen(
                [kits / participant / "startup" / "sub_start.sh", "--once"],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
                start_new_session=True,
            )
            self.processes[participant] = psutil.Process(started.pid)
            stack.callback(end, self.processes[participant])
        self.session = self._session()
        stack.callback(self.session.close)

    def _session(self) -> Session:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return new_secure_session(ADMINISTRATOR, str(self._kits / ADMINISTRATOR))
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def wait_for_clients(self) -> None:
        """Wait until every client has registered."""
        deadline = time.monotonic() + WAIT_S
        while len(self.session.get_connected_client_list()) < len(CLIENTS):
            if time.monotonic() > deadline:
                raise SystemExit(f"the clients did not register; see {self._kits}/*/output.txt")
            time.sleep(0.5)
        print("server and three clients are up", flush=True)

    def submit(self) -> str:
        """Submit a copy of the job, which FLARE signs; return its name there."""
        copy = shutil.copytree(HERE / "job", self._kits / "job", dirs_exist_ok=True)
        job: str = self.session.submit_job(str(copy))
        print(f"submitted job {job}", flush=True)
        return job

    def wait(self, job: str) -> str:
        """Wait until the job is over; return FLARE's word for how it ended."""
        meta = self.session.wait_for_job(job, timeout=WAIT_S, poll_interval=0.5)
        print(f"the job ended: {meta['status']}", flush=True)
        return str(meta["status"])

    def kill_process_of_job(self, client: str) -> None:
        """Kill the process that works on the job at ``client``, as a power cut does."""
        for process in self.processes[client].children(recursive=True):
            process.send_signal(signal.SIGKILL)
        print(f"killed the job's process at {client}", flush=True)


class Training:
    """The federation in ``folder``, trained in jobs of ``flare``."""

    def __init__(self, folder: Path, flare: Flare) -> None:
        self._folder = folder
        self._flare = flare

    def run(self, brands: tuple[str, ...]) -> str:
        """Sign, train, kill, submit again; return the model's hash."""
        self._flare.wait_for_clients()
        first = self._flare.submit()
        shown = [self._folder / brand / "roster.json" for brand in brands]
        self._wait("every brand has contract and roster", lambda: all(map(Path.exists, shown)))
        for brand in brands:
            command(self._folder / brand, "federation", "sign", brand)
        half = PARAMETERS["n_estimators"] // 2
        self._wait("half of the trees", lambda: self._status()["trees"][0] >= half)
        self._flare.kill_process_of_job(CLIENTS[1])
        if self._flare.wait(first) == "FINISHED:COMPLETED":
            raise SystemExit("the job was to end when a client's process was killed")
        second = self._flare.submit()
        if self._flare.wait(second) != "FINISHED:COMPLETED":
            raise SystemExit(f"the second job failed; see {self._folder.parent}/flare")
        (run,) = self._status()["runs"]
        if run["status"] != "succeeded":
            raise SystemExit(f"the run is {run['status']}: {run['why']}")
        return str(run["model_sha256"])

    def _status(self) -> dict[str, Any]:
        """Return what the coordinator wrote of itself last."""
        path = self._folder / "operator" / "coordinator" / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"trees": [0]}
        return found

    def _wait(self, what: str, arrived: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not arrived():
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {WAIT_S:g} s in vain: {what}; {self._status()}")
            time.sleep(0.1)
        print(what, flush=True)


def registered(folder: Path, brand: str) -> str:
    """Return the hash of the model in the brand's own warehouse."""
    settings = load_federation(folder / brand / "federation.yml")
    with site_of(settings.sites[0]).open() as warehouse:
        sql = (
            "select model_sha256 from fed_audience.model_registry"
            f" where is_active and model_name = '{MODEL}'"
        )
        return str(warehouse.query(sql)["model_sha256"][0].as_py())


def command(folder: Path, *arguments: str) -> str:
    """Run a `fed-audience` command in ``folder``; return what it printed."""
    done = subprocess.run(
        [BIN / "fed-audience", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{folder.name}: fed-audience {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a YAML file and the folders to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found_socket:
        found_socket.bind(("127.0.0.1", 0))
        return int(found_socket.getsockname()[1])


def end(process: psutil.Process) -> None:
    """End a participant and the processes of its jobs: in an orderly way, else at once."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        one.terminate()
    _, alive = psutil.wait_procs(family, timeout=10)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive, timeout=10)


if __name__ == "__main__":
    main()
