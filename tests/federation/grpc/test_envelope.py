from __future__ import annotations

from pathlib import Path

from scripts.write_envelope import FOLDER, generated


def test_the_generated_code_is_that_of_the_envelope_as_it_stands(repository: Path) -> None:
    for name, text in generated().items():
        assert (repository / FOLDER / name).read_text(encoding="utf-8") == text, (
            f"{name} is stale: run python scripts/write_envelope.py"
        )
