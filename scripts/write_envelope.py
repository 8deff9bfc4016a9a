"""Write the Python code of the gRPC envelope from its .proto, after a change of that."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = Path("fed_audience/federation/transports/grpc")
STYLE: Final = {
    ".py": "E501, ERA001, I001, Q000, Q004, SLF001",
    ".pyi": "A002, E501, I001, RUF023, UP007, UP045",
}
"""What our linter holds against generated code, which nobody reads for its style."""

FIRST_LINES: Final = '# ruff: noqa: {}\n# fmt: off\n# mypy: disable-error-code="type-arg"\n'


def generated() -> dict[str, str]:
    """Return the text of each generated file, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"-I{ROOT}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if protoc.main(["protoc", *command, str(FOLDER / "envelope.proto")]):
            raise SystemExit(f"{FOLDER / 'envelope.proto'} cannot be compiled")
        files = sorted(Path(folder, FOLDER).iterdir())
        return {
            file.name: FIRST_LINES.format(STYLE[file.suffix]) + file.read_text(encoding="utf-8")
            for file in files
        }


def main() -> int:
    """Write the files."""
    for name, text in generated().items():
        (ROOT / FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
