"""The folder of a demo: generated data, one dbt project a brand, secrets, federation.yml."""

from __future__ import annotations

import hashlib
import json
import os
import secrets as randomness
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import yaml

from fed_audience.demo.generate import BrandData, DemoData, generate
from fed_audience.demo.loading import load_raw
from fed_audience.demo.settings import AS_OF, BRANDS, check_setting
from fed_audience.errors import ResourceError, UsageError
from fed_audience.warehouse.dbt import package_path, run_dbt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fed_audience.jobs.settings import SiteSettings

SECRETS: Final = {
    "FED_AUDIENCE_CATEGORY_KEY": "category_key",
    "FED_AUDIENCE_STATE_KEY": "state_key",
    "FED_AUDIENCE_OVERLAP_SALT": "overlap_salt",
    "FED_AUDIENCE_WEBHOOK_SECRET": "webhook_secret",
}
"""Environment variables of a demo, and the file of its folder that each one's _FILE names."""

SMALLEST: Final = 2_500
"""Customers of which the smallest brand, a tenth, keeps enough consented rows to train with."""
_MARK: Final = "A fed-audience demo. Everything in here is generated.\n"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below a demo's folder, which is absolute."""

    folder: Path

    @property
    def data(self) -> Path:
        """Generated Parquet files, and the hidden truth that only the demo's scoring reads."""
        return self.folder / "data"

    @property
    def federation(self) -> Path:
        """The federation's configuration."""
        return self.folder / "federation.yml"

    @property
    def audit(self) -> Path:
        """The audit logs, and in a real federation nowhere near them: their keys."""
        return self.folder / "audit"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def project(self, brand: str) -> Path:
        """Return a brand's dbt project."""
        return self.folder / "brands" / brand

    def warehouse(self, brand: str) -> Path:
        """Return a brand's warehouse."""
        return self.project(brand) / f"{brand}.duckdb"

    def built(self, brand: str) -> Path:
        """Return the copy of a brand's warehouse as dbt left it, which a second run reuses."""
        return self.folder / "built" / f"{brand}.duckdb"

    def truth(self, brand: str) -> Path:
        """Return the hidden truth of a brand's customers."""
        return self.data / "truth" / f"{brand}.parquet"


def prepare(
    folder: Path,
    *,
    customers: int,
    seed: int,
    setting: str,
    on_step: Callable[[str], None],
) -> tuple[Workspace, DemoData]:
    """Make or reuse the folder of a demo; earlier deliveries and audit logs are removed.

    Generated data is reused when customers, seed, setting and generator are the same. Raises
    ResourceError when the folder cannot be written, or holds something else, and UsageError, with
    the folder untouched, for arguments that make no demo.
    """
    workspace = Workspace(folder.resolve())
    _check(customers, seed, setting)
    _claim(workspace.folder)
    wanted = {
        "customers": customers,
        "seed": seed,
        "setting": setting,
        "generator": _digest(Path(str(files("fed_audience.demo"))), "*.py"),
    }
    data = _reused(workspace, wanted)
    if data is None:
        on_step(f"generate {customers:,} customers of {len(BRANDS)} brands")
        shutil.rmtree(workspace.folder / "built", ignore_errors=True)
        _stamp(workspace).unlink(missing_ok=True)
        data = generate(workspace.data, seed=seed, customers=customers, setting=setting)
        rows = {brand.name: dict(brand.rows) for brand in data.brands}
        _write(_stamp(workspace), json.dumps(wanted | {"rows": rows}, indent=1))
    else:
        on_step("reuse the generated brands")
    for earlier in ("delivered", "audit"):
        shutil.rmtree(workspace.folder / earlier, ignore_errors=True)
    _write_secrets(workspace)
    for brand in data.brands:
        _write_project(workspace, brand.name)
    return workspace, data


def write_federation(workspace: Workspace, webhook_url: str) -> None:
    """Write federation.yml for the receiver that listens at ``webhook_url``."""
    template = files("fed_audience.demo").joinpath("federation.yml").read_text(encoding="utf-8")
    _write(workspace.federation, Template(template).substitute(webhook_url=webhook_url))


def build_brand(workspace: Workspace, data: DemoData, site: SiteSettings) -> None:
    """Fill one brand's warehouse and run its dbt project, or put back what an earlier run built."""
    brand = next(brand for brand in data.brands if brand.name == site.name)
    fingerprint = _fingerprint(workspace, brand.name)
    mark = workspace.built(brand.name).with_suffix(".json")
    variables = {"fed_audience__as_of": f"{AS_OF:%Y-%m-%d %H:%M:%S}"}
    if mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint:
        shutil.copyfile(workspace.built(brand.name), workspace.warehouse(brand.name))
        return
    load_raw(brand.raw, workspace.warehouse(brand.name))
    _link_package(site.project)
    run_dbt(site.project, ["build"], vars=variables)
    workspace.built(brand.name).parent.mkdir(exist_ok=True)
    mark.unlink(missing_ok=True)
    shutil.copyfile(workspace.warehouse(brand.name), workspace.built(brand.name))
    _write(mark, fingerprint)


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables that lead to the demo's secrets."""
    return {
        f"{name}_FILE": str(workspace.folder / "secrets" / file) for name, file in SECRETS.items()
    }


def _link_package(project: Path) -> None:
    """Link our dbt package into a project, as `dbt deps` does, without its five seconds."""
    link = project / "dbt_packages" / "fed_audience"
    link.parent.mkdir(exist_ok=True)
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(package_path())


def _check(customers: int, seed: int, setting: str) -> None:
    """Raise UsageError before the folder is touched."""
    check_setting(setting)
    if customers < SMALLEST:
        raise UsageError(
            "too few customers for a demo: its smallest brand would refuse to train",
            value=customers,
            limit=f"{SMALLEST:,} or more",
            fix="ask for more with --customers",
        )
    if seed < 0:
        raise UsageError(
            "--seed is out of range", value=seed, limit="0 or more", fix="choose another seed"
        )


def _claim(folder: Path) -> None:
    marker = folder / "README.txt"
    try:
        ours = marker.is_file() and marker.read_bytes() == _MARK.encode()
        if folder.exists() and any(folder.iterdir()) and not ours:
            raise ResourceError(
                "the demo's folder holds something else",
                looked=str(folder),
                fix="choose an empty folder with --dir",
            )
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_bytes(_MARK.encode())
    except OSError as error:
        raise ResourceError(
            "the demo's folder cannot be written",
            value=error.strerror,
            looked=str(folder),
            fix="choose another folder with --dir",
        ) from error


def _stamp(workspace: Workspace) -> Path:
    return workspace.data / "generated.json"


def _reused(workspace: Workspace, wanted: Mapping[str, Any]) -> DemoData | None:
    """Return the data of an earlier run with the same arguments, or None."""
    try:
        found = json.loads(_stamp(workspace).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    rows = found.pop("rows", None)
    if found != wanted or not isinstance(rows, dict):
        return None
    brands = tuple(
        BrandData(name, workspace.data / name / "raw", workspace.truth(name), counts)
        for name, counts in rows.items()
    )
    setting = check_setting(wanted["setting"])
    return DemoData(workspace.data, wanted["seed"], setting, AS_OF, brands)


def _write_secrets(workspace: Workspace) -> None:
    """Keep the secrets of an earlier run, make those that are missing; only the user may read."""
    folder = workspace.folder / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in SECRETS.values():
        path = folder / file
        if not path.is_file():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(randomness.token_hex(32))
    exports = [f"export {name}='{path}'" for name, path in environment(workspace).items()]
    _write(workspace.folder / "environment.sh", "\n".join(exports) + "\n")


def _write_project(workspace: Workspace, brand: str) -> None:
    """Copy the template of a brand's dbt project, with its names filled in."""
    values = {
        "brand": brand,
        "warehouse": f"{brand}.duckdb",
        "package": str(package_path()),
        "partners": yaml.safe_dump(
            [other.name for other in BRANDS if other.name != brand], default_flow_style=True
        ).strip(),
    }
    source = Path(str(files("fed_audience.demo").joinpath("project")))
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        target = workspace.project(brand) / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, Template(file.read_text(encoding="utf-8")).safe_substitute(values))


def _fingerprint(workspace: Workspace, brand: str) -> str:
    """Return what the built warehouse depends on: its data, its project and our dbt package."""
    project = Path(str(files("fed_audience.demo").joinpath("project")))
    parts = {
        "brand": brand,
        "data": hashlib.sha256(_stamp(workspace).read_bytes()).hexdigest(),
        "package": _digest(package_path(), "**/*"),
        "project": _digest(project, "**/*"),
    }
    return json.dumps(parts)


def _digest(root: Path, pattern: str) -> str:
    """Return a hash of the files below ``root``, whatever dbt left there put aside."""
    digest = hashlib.sha256()
    for file in sorted(path for path in root.glob(pattern) if path.is_file()):
        relative = file.relative_to(root)
        if not {"target", "logs", "dbt_packages"} & set(relative.parts):
            digest.update(f"{relative}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
