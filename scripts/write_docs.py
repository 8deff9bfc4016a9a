"""Rewrite the generated pages: the command reference, and what leaves a site."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from message_catalogue import catalogue

from fed_audience.federation.messages import REPLIES, Reply, VectorReply

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- generated: what leaves -->", "<!-- end -->"


def command_reference() -> str:
    """Return docs/cli.md, from the commands' own help."""
    command = [sys.executable, "-m", "typer", "fed_audience.cli.app", "utils", "docs"]
    done = subprocess.run(
        [*command, "--name", "fed-audience", "--title", "Commands"],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"[ \t]+$", "", done.stdout, flags=re.MULTILINE).strip() + "\n"


def how_it_works() -> str:
    """Return docs/how-it-works.md with the table of messages as the code declares them."""
    rows = [f"| `{kind.__name__}` | {kind.reveals} | {_read(kind)} |" for kind in REPLIES]
    head = ["| message | holds of the site that sends it | can be read |", "|---|---|---|"]
    return _filled("how-it-works.md", "\n".join([*head, *rows]))


def what_leaves_a_site() -> str:
    """Return docs/what-leaves-a-site.md with every type of message as the code declares it."""
    return _filled("what-leaves-a-site.md", catalogue())


def _filled(page: str, generated: str) -> str:
    """Return a page with the part between its two marks replaced."""
    text = (DOCS / page).read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def _read(kind: type[Reply]) -> str:
    return "in sum over the sites" if issubclass(kind, VectorReply) else "as it is"


PAGES = {
    "cli.md": command_reference,
    "how-it-works.md": how_it_works,
    "what-leaves-a-site.md": what_leaves_a_site,
}


def main() -> int:
    """Write the pages; with --check only say which are not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'stale' if check else 'wrote'}: docs/{name}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
