"""What a page shows: commands to run, and files to write."""

from __future__ import annotations

import re
import shutil

_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FILE = re.compile(
    r"^```(yaml|sql|csv)\n(?:#|--) (\S+\.\w+)(?: \((\w+)\))?\n(.*?)^```", re.DOTALL | re.MULTILINE
)


def scripts(text: str) -> list[str]:
    """Return the script of each console block: its lines that begin with a dollar sign."""
    return [
        "\n".join(line[2:] for line in block.splitlines() if line.startswith("$ "))
        for block in _CONSOLE.findall(text)
    ]


def files(text: str, engine: str) -> dict[str, str]:
    """Return path -> content of every block whose first line is a comment that names a file.

    A name may be followed by the only engine that it is for, in parentheses.
    """
    found: dict[str, str] = {}
    for _kind, path, only, content in _FILE.findall(text):
        if only in {"", engine}:
            assert path not in found, f"{path} is shown twice"
            found[path] = content
    return found


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return found
