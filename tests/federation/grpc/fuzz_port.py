"""Send what nobody should send to the open port of a coordinator, and see that it goes on.

    python -m tests.federation.grpc.fuzz_port --count 100000      # a part of: make fuzz

A third of the inputs comes from strangers: bytes, broken handshakes. A third has a valid
certificate and breaks HTTP/2. A third speaks HTTP/2 well, says a true hello as the site "rogue",
and breaks the messages behind it. The coordinator runs in a process of its own beside the site
"north", which must be served to the end over one connection; memory, descriptors and log must not
grow with the inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from fed_audience.errors import FederationError
from fed_audience.federation.transports.grpc import (
    GrpcTransport,
    Limits,
    Member,
    ask_coordinator,
)
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.protocol import METHOD
from fed_audience.federation.transports.grpc.tls import split_address
from tests.federation.grpc.network import Federation
from tests.federation.grpc.rogue import hello
from tests.fuzz_results import keep

LIMITS: Final = Limits(handshake_seconds=3.0, hello_seconds=3.0, silence_seconds=30.0)
MEMORY: Final = 48 * 2**20
"""Bytes that the coordinator may hold at the end beyond what it held after the first tenth."""

LOG: Final = 2**20
DESCRIPTORS: Final = 40
SENDERS: Final = 4
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2 (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def headers(path: bytes = METHOD.encode()) -> bytes:
    """Return the headers of a call, as literals without an index (RFC 7541, 6.2.2)."""
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }
    text = b""
    for name, value in fields.items():
        text += bytes([0, len(name)]) + name + bytes([len(value)]) + value
    return text


def message(content: bytes) -> bytes:
    """Return one message of gRPC as a frame of data."""
    return frame(_DATA, 0, 1, b"\0" + len(content).to_bytes(4) + content)


def broken(draw: random.Random, content: bytes) -> bytes:
    """Change ``content`` in one to four places."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(found) + 1)
        match draw.randrange(5):
            case 0:
                found[place : place + 1] = bytes([draw.randrange(256)])
            case 1:
                found[place:place] = draw.randbytes(draw.randint(1, 12))
            case 2:
                del found[place : place + draw.randint(1, 12)]
            case 3:
                found[place:place] = found[: draw.randrange(64)]
            case _:
                found[place : place + 4] = draw.choice((b"\xff" * 4, b"\0" * 4, b"\x7f" * 4))
    return bytes(found)


class Inputs:
    """What is sent, by number, for a federation and a seed."""

    def __init__(self, federation: Federation, seed: int) -> None:
        self._seed = seed
        files = federation.files_of("rogue")
        self._hello = hello("rogue", federation.identities["rogue"], files).SerializeToString()
        self._opening = PREFACE + frame(_SETTINGS, 0, 0, b"")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.load_cert_chain(files.certificate, files.key)
        self._context.set_alpn_protocols(["h2"])

    def send(self, number: int, address: tuple[str, int]) -> str:
        """Send input ``number``; return how the other end took it."""
        draw = random.Random(f"{self._seed}:{number}")  # noqa: S311 - repetition, not secrecy
        with socket.create_connection(address, timeout=5) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if number % 3 == 0:
                    return self._from_outside(draw, plain)
                with self._context.wrap_socket(plain) as tls:
                    content = self._frames(draw) if number % 3 == 1 else self._messages(draw)
                    tls.sendall(content)
                    return _answer(draw, tls)
            except ssl.SSLError as error:
                return f"TLS {error.reason}"
            except TimeoutError:
                raise
            except OSError:
                return "reset"

    def _from_outside(self, draw: random.Random, plain: socket.socket) -> str:
        if draw.random() < 0.3:
            plain.sendall(draw.randbytes(draw.randint(1, 600)))
        else:
            outgoing = ssl.MemoryBIO()
            client = self._context.wrap_bio(ssl.MemoryBIO(), outgoing)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            plain.sendall(broken(draw, outgoing.read()))
        plain.shutdown(socket.SHUT_WR)
        return _answer(draw, plain)

    def _frames(self, draw: random.Random) -> bytes:
        """HTTP/2 with something wrong in it."""
        parts = [self._opening, frame(_HEADERS, 4, 1, headers()), message(self._hello)]
        for _ in range(draw.randrange(6)):
            payload = draw.randbytes(draw.randrange(80))
            wild = frame(draw.randrange(12), draw.randrange(256), draw.randrange(6), payload)
            parts.insert(draw.randrange(len(parts) + 1), wild)
        whole = b"".join(parts)
        return broken(draw, whole) if draw.random() < 0.7 else whole

    def _messages(self, draw: random.Random) -> bytes:
        """HTTP/2 and a hello in order, then messages that are not."""
        parts = [self._opening, frame(_HEADERS, 4, 1, headers())]
        said = self._hello if draw.random() < 0.8 else broken(draw, self._hello)
        parts.append(message(said))
        for _ in range(draw.randint(1, 8)):
            sound = _sound(draw).SerializeToString()
            parts.append(message(broken(draw, sound) if draw.random() < 0.6 else sound))
        if draw.random() < 0.2:
            parts[-1] = parts[-1][: draw.randrange(len(parts[-1]))]
        return b"".join(parts)


def _sound(draw: random.Random) -> pb.FromSite:
    """Return a message that has its place in some stream."""
    number = draw.choice((0, 1, 2, draw.randrange(2**64)))
    data = draw.randbytes(draw.randrange(300))
    size = draw.choice((len(data), len(data), 2 * len(data), draw.randrange(2**64)))
    return draw.choice(
        (
            pb.FromSite(reply=pb.Chunk(call=number, size=size, data=data)),
            pb.FromSite(failure=pb.Failure(call=number, error="x" * draw.randrange(500))),
            pb.FromSite(control=pb.Control(id=number, kind="status", body=data)),
            pb.FromSite(answer=pb.ControlAnswer(id=number, body=data)),
            pb.FromSite(pong=pb.Pong()),
            pb.FromSite(hello=pb.Hello(site="rogue")),
        )
    )


def _answer(draw: random.Random, end: socket.socket) -> str:
    """Wait a moment for an answer, or do not."""
    if draw.random() < 0.5:
        return "not waited for"
    end.settimeout(0.02)
    try:
        return "answered" if end.recv(4096) else "hung up"
    except TimeoutError:
        return "silence"


class Coordinator:
    """The process under attack; ``round`` lets it serve the site north and say how it is."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "coordinator.log"
        python = [sys.executable, "-X", "faulthandler"]  # a crash writes its threads to the log
        command = [*python, "-m", "tests.federation.grpc.fuzz_port", "--serve", str(folder)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.address = str(self._said()["address"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def round(self) -> dict[str, Any]:
        """Return what the coordinator says of itself after a round with north."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return self._said()

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the coordinator died: {self._process.wait()}, see {self.log}")
        found: dict[str, Any] = json.loads(line)
        return found


def serve(folder: Path) -> None:
    """Be the coordinator: a round for each line on standard input."""
    logging.basicConfig(level=logging.INFO)
    keys = json.loads((folder / "keys.json").read_text())
    members = {site: Member(bytes.fromhex(key)) for site, key in keys.items()}
    files = Federation(folder).files_of("coordinator")
    with GrpcTransport("127.0.0.1:0", files, members, limits=LIMITS) as transport:
        transport.on("status", lambda _caller, body: body[:8])
        tell(address=transport.address)
        for _ in sys.stdin:
            missing = transport.wait_for(["north"], 10)
            replies = dict(transport.call(b"1", ["north"], 10)) if not missing else {}
            north = [one.since.isoformat() for one in transport.connected() if one.site == "north"]
            tell(
                served=replies == {"north": b"echo 1"},
                north=north,
                memory=_memory(),
                descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names are enough
            )


def _memory() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def tell(**fields: object) -> None:
    """Print a line of JSON."""
    say(json.dumps(fields))


def say(line: str) -> None:
    """Print a line at once, for whoever waits for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass
class Outcome:
    """What became of the inputs. ``problems``: what must not be."""

    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    log_bytes: int = 0


def fuzz(
    count: int, folder: Path, *, seed: int = 0, first: int = 0, progress: bool = False
) -> Outcome:
    """Send the inputs from ``first`` up to ``count``; the federation's files go to ``folder``."""
    outcome = Outcome()
    federation = Federation(folder)
    federation.coordinator_files()
    for site in ("north", "rogue"):
        federation.enrol(site)
    keys = {site: member.key.hex() for site, member in federation.members.items()}
    (folder / "keys.json").write_text(json.dumps(keys))
    inputs = Inputs(federation, seed)
    with (
        Coordinator(folder) as coordinator,
        federation.link(coordinator.address, "north", limits=LIMITS),
        ThreadPoolExecutor(SENDERS) as senders,
    ):
        address = split_address(coordinator.address)
        before = coordinator.round()
        for tenth in range(10):
            begin, end = (first + part * (count - first) // 10 for part in (tenth, tenth + 1))
            try:
                outcome.answers.update(
                    senders.map(lambda number: inputs.send(number, address), range(begin, end))
                )
            except ConnectionRefusedError as error:
                end_of_log = coordinator.log.read_text(errors="replace")[-4_000:]
                gone = f"nobody listens any more between inputs {begin} and {end}: {end_of_log}"
                raise SystemExit(gone) from error
            state = coordinator.round()
            outcome.memory.append(state["memory"])
            if not state["served"] or state["north"] != before["north"]:
                outcome.problems.append(f"north was disturbed before input {end}: {state}")
            if why := _newcomer(federation, coordinator.address):
                outcome.problems.append(f"a newcomer was not served at input {end}: {why}")
            if progress:
                say(f"{end:,} inputs, {state['memory'] / 2**20:.0f} MiB")
        # What is still open has its deadline.
        time.sleep(LIMITS.hello_seconds + 1.5)
        _judge(outcome, before, coordinator.round(), coordinator.log.read_text(errors="replace"))
    return outcome


def _judge(outcome: Outcome, first: dict[str, Any], last: dict[str, Any], log: str) -> None:
    """Look for what has grown, and for our own faults in the log."""
    outcome.memory.append(last["memory"])
    outcome.log_bytes = len(log)
    if "fed_audience/" in log:
        outcome.problems.append(f"a traceback through our code: {log[-2_000:]}")
    if last["descriptors"] > first["descriptors"] + DESCRIPTORS:
        outcome.problems.append(f"descriptors: {first['descriptors']}, then {last['descriptors']}")
    if outcome.memory[-1] > outcome.memory[0] + MEMORY:
        outcome.problems.append(f"memory grew: {outcome.memory}")
    if outcome.log_bytes > LOG:
        outcome.problems.append(f"the log has {outcome.log_bytes:,} bytes")


def _newcomer(federation: Federation, address: str) -> str:
    """Ask for the status over a connection of its own; return why that was not possible."""
    deadline = time.monotonic() + 15
    while True:
        try:
            ask_coordinator(
                address,
                federation.files_of("north"),
                "status",
                b"",
                site="north",
                identity=federation.identities["north"],
            )
        except FederationError as error:
            # A server that a peer has stopped is replaced within seconds.
            if time.monotonic() > deadline:
                return str(error)
            time.sleep(0.5)
        else:
            return ""


def main() -> int:
    """Run from the command line; exit code 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="inputs to send")
    parser.add_argument("--first", type=int, default=0, help="leave out those before this one")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--results", type=Path, help="a JSON to put what was found into")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve)
        return 0
    began, started = datetime.now(UTC), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(
            chosen.count, Path(folder), seed=chosen.seed, first=chosen.first, progress=True
        )
    for answer, times in outcome.answers.most_common():
        say(f"{times:8,}  {answer}")
    say(
        f"log {outcome.log_bytes:,} bytes, "
        f"memory {outcome.memory[0] / 2**20:.0f} MiB after a tenth, "
        f"{outcome.memory[-1] / 2**20:.0f} at the end, {time.perf_counter() - started:.0f} s"
    )
    for problem in outcome.problems:
        say(f"PROBLEM {problem}")
    if chosen.results is not None:
        command = f"python -m tests.federation.grpc.fuzz_port --count {chosen.count}"
        found = {
            "inputs": chosen.count - chosen.first,
            "seed": chosen.seed,
            "answers": dict(outcome.answers.most_common()),
            "memory_bytes": [outcome.memory[0], outcome.memory[-1]],
            "log_bytes": outcome.log_bytes,
            "problems": outcome.problems,
        }
        keep(chosen.results, "port", command, began, found)
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
