from __future__ import annotations

import builtins
import itertools
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fed_audience.errors import ResourceError
from fed_audience.report import write_report
from fed_audience.report.data import ReportData
from fed_audience.report.page import render
from tests.report import sample

EVIL = "<script>alert(1)</script>\"&'"


class Page(HTMLParser):
    """Tags with their attributes, ids, links and headings of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


def test_it_is_one_file_that_asks_for_nothing(full_html: str) -> None:
    page = Page(full_html)
    assert not page.names & {"script", "img", "iframe", "object", "form", "base"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"href", "src"}:
                assert value is not None
                assert value.startswith("#") or value == "data:,", (tag, value)
    assert "@import" not in full_html
    assert "url(" not in full_html


def test_the_policy_forbids_everything_but_its_own_styles(full_html: str) -> None:
    policies = [
        attributes["content"]
        for tag, attributes in Page(full_html).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (policy,) = policies
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def test_it_is_small(full_html: str) -> None:
    assert len(full_html.encode()) < 400_000


def test_every_section_is_in_the_contents_and_every_id_is_unique(full_html: str) -> None:
    page = Page(full_html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {
        str(attributes["href"])[1:]
        for tag, attributes in page.tags
        if tag == "a" and attributes.get("class") != "skip"
    }
    sections = {attributes["id"] for tag, attributes in page.tags if tag == "section"}
    assert links == sections
    assert len(sections) == 15


def test_headings_descend_one_level_at_a_time(full_html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(full_html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_chart_has_its_numbers_in_a_table_beside_it(full_html: str) -> None:
    for name in ("quality", "lift", "calibration", "importance", "audiences", "lookalikes"):
        start = full_html.index(f'<section id="{name}"')
        section = full_html[start : full_html.index("</section>", start)]
        assert "<svg" in section, name
        assert "<table>" in section, name
        assert "<details>" in section, name


def test_wide_tables_scroll_in_a_named_box_that_the_keyboard_reaches(full_html: str) -> None:
    boxes = [a for tag, a in Page(full_html).tags if tag == "div" and a.get("class") == "scroll"]
    tables = [tag for tag, _ in Page(full_html).tags if tag == "table"]
    assert len(boxes) == len(tables)
    assert all(box["tabindex"] == "0" and box["role"] == "region" for box in boxes)
    names = [box["aria-label"] for box in boxes]
    assert len(set(names)) == len(names)


def test_only_the_run_is_shown_when_nothing_else_is_known() -> None:
    html = render(sample.bare())
    sections = [attributes["id"] for tag, attributes in Page(html).tags if tag == "section"]
    assert sections == ["summary", "run"]
    assert "svg" not in Page(html).names
    assert "generated" not in html


@pytest.mark.parametrize(
    "section",
    [
        "consent",
        "quality",
        "lift",
        "calibration",
        "importance",
        "egress",
        "audiences",
        "lookalikes",
        "syncs",
        "withdrawal",
        "warnings",
        "next_steps",
    ],
)
def test_each_section_stands_alone(section: str) -> None:
    data = replace(sample.bare(), **{section: getattr(sample.full(), section)})
    assert f'<section id="{section}"' in render(data)


def everything_renamed(value: Any) -> Any:
    """The same data with every text replaced by markup, except words of a fixed vocabulary."""
    fixed = {"gains", "no difference", "loses", "seed_brand", "seed_rule", "propensity"}
    if isinstance(value, str):
        return value if value in fixed else EVIL
    if isinstance(value, tuple):
        return tuple(everything_renamed(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        names = value.__dataclass_fields__
        return type(value)(**{name: everything_renamed(getattr(value, name)) for name in names})
    return value


def test_markup_in_any_text_is_shown_and_never_obeyed() -> None:
    data = everything_renamed(sample.full())
    assert isinstance(data, ReportData)
    html = render(data)
    assert not Page(html).names & {"script", "iframe"}
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 50


def test_the_person_is_masked_wherever_the_story_names_them(full_html: str) -> None:
    assert sample.PERSON not in full_html
    assert full_html.count("cu\u2022\u2022\u202213") == 3


def test_equal_models_are_called_identical_and_others_are_not(full_html: str) -> None:
    assert "the same file, to the byte" in full_html
    data = sample.bare()
    other = render(replace(data, run=replace(data.run, pooled_sha256="0" * 64)))
    assert "the same file" not in other
    assert "differs from the one trained on pooled rows <code>0000000000000000</code>" in other
    assert "pooled" not in render(data)


def test_a_brand_that_could_not_train_alone_is_listed_as_not_compared() -> None:
    quality = sample.quality()
    lost = replace(quality.brands[2], alone=None, difference=None, verdict=None)
    html = render(replace(sample.bare(), quality=replace(quality, brands=(lost,))))
    assert "not compared" in html


def test_the_same_data_gives_the_same_bytes(full_html: str) -> None:
    assert render(sample.full()) == full_html


def test_writing_makes_folders_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.html"
    write_report(sample.bare(), path)
    first = path.read_text(encoding="utf-8")
    assert write_report(replace(sample.bare(), title="Again"), path) == path
    assert "<title>Again</title>" in path.read_text(encoding="utf-8")
    assert "<title>A first run</title>" in first
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def nearly_full_disk() -> Iterator[None]:
    """No file may grow beyond 4 kB: the kernel then refuses in the middle of the write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_keeps_the_earlier_report(
    tmp_path: Path, nearly_full_disk: None
) -> None:
    path = tmp_path / "report.html"
    path.write_text("the earlier report", encoding="utf-8")
    with pytest.raises(ResourceError) as refusal:
        write_report(sample.bare(), path)
    assert str(path) in str(refusal.value)
    assert "no half-written file was left" in str(refusal.value)
    assert path.read_text(encoding="utf-8") == "the earlier report"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_is_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "report.html"
    folder.mkdir()
    with pytest.raises(ResourceError, match="could not be written: Is a directory"):
        write_report(sample.bare(), folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_path_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ResourceError, match="could not be written"):
        write_report(sample.bare(), file / "report.html")


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_missing_chart_packages_are_named_with_their_command(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith("fed_audience.report.charts"):
            monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ResourceError) as refusal:
        write_report(sample.full(), tmp_path / "report.html")
    assert f"value: {package}" in str(refusal.value)
    assert str(refusal.value).endswith("pip install 'fed-audience[report]'")
    assert list(tmp_path.iterdir()) == []
