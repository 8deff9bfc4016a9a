"""The sites as members of a federation: their keys, the roster they approved, their ledgers."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fed_audience.audit.keys import KeyFile
from fed_audience.errors import ConfigError, ResourceError
from fed_audience.files import write_whole
from fed_audience.privacy.cohorts import check_groups
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import FileLedger
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.roster import Roster, enrol
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.privacy.run_keys import Override

_APPROVE: Final = "`fed-audience roster show`, then `fed-audience roster approve` at that site"


class Members:
    """Identities, roster and ledgers of a federation whose sites run in this process.

    A site's key is the one that counter-signs the audit log: `sites/SITE.pem` in the folder of
    keys (``audit.keys``, FED_AUDIENCE_AUDIT_KEYS). Beside it stand the hash of the roster that
    the site approved (`SITE.roster`), its ledger (`SITE.ledger`) and the noisy vectors that it
    sent (`SITE.releases`).
    """

    def __init__(self, settings: FederationSettings) -> None:
        self._names = tuple(site.name for site in settings.sites)
        self._keys = settings.audit.keys_folder / "sites"
        self.roster_file = settings.roster

    def create_identity(self, site: str) -> SiteIdentity:
        """Make the key of ``site``, in a file that only its owner reads.

        Raises ConfigError when there is one: a key is never replaced.
        """
        path = self.key_file(site)
        if path.exists():
            raise ConfigError(
                "the site has an identity already",
                value=site,
                looked=str(path),
                fix="keep it: `fed-audience identity show` tells its public key",
            )
        self._made(path, site)
        return self.identity(site)

    def identity(self, site: str) -> SiteIdentity:
        """Read the key of ``site``. Raises ConfigError, SecureSumError (bad_identity)."""
        path = self.key_file(site)
        if not path.exists():
            raise ConfigError(
                "the site has no identity yet",
                value=site,
                looked=str(path),
                fix=f"`fed-audience identity create {site}`, or put its key back from a copy",
            )
        return SiteIdentity.load(site, path)

    def key_file(self, site: str) -> Path:
        """Where the private key of ``site`` stands. Raises ConfigError for no site of ours."""
        if site not in self._names:
            raise ConfigError(
                "no site of that name",
                value=site,
                limit=", ".join(self._names),
                looked="sites in federation.yml",
                fix="name one of the federation's sites",
            )
        return self._keys / f"{site}.pem"

    def roster(self) -> Roster | None:
        """Read the federation's roster; None where none was made.

        Raises ConfigError when a site approved one that is gone, SecureSumError (bad_roster).
        """
        if self.roster_file.exists():
            try:
                return Roster.from_json(self.roster_file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                detail = f"{self.roster_file}: {type(error).__name__}"
                raise SecureSumError("bad_roster", detail=detail) from error
        if approved := [site for site in self._names if self._pin(site).exists()]:
            raise ConfigError(
                "the roster that sites approved is gone",
                value=", ".join(approved),
                looked=str(self.roster_file),
                fix="put it back from a copy; without it no run is signed",
            )
        return None

    def add(self, site: str, key: bytes) -> Roster:
        """Put ``site`` with its public key into the roster; every approval is void then.

        Raises ConfigError for a site that is in it with another key.
        """
        with self._alone():
            roster = self.roster() or Roster({})
            if roster.keys.get(site, key) != key:
                raise ConfigError(
                    "the roster holds another key of that site",
                    value=site,
                    looked=str(self.roster_file),
                    fix="ask that site which key is its own; a new key needs a new roster",
                )
            if site not in roster.keys:
                roster = Roster({**roster.keys, site: key})
                self._write_roster(roster)
            return roster

    def remove(self, site: str) -> Roster:
        """Take ``site`` out of the roster; every approval is void then. Raises ConfigError."""
        with self._alone():
            roster = self.roster()
            if roster is None or site not in roster.keys:
                raise ConfigError(
                    "no such site in the roster",
                    value=site,
                    limit=", ".join(sorted(roster.keys)) if roster else "no roster",
                    looked=str(self.roster_file),
                    fix="name one of its sites",
                )
            left = Roster({name: key for name, key in roster.keys.items() if name != site})
            self._write_roster(left)
            return left

    def adopt(self, keys: Mapping[str, bytes], approvals: Mapping[str, bytes]) -> Roster:
        """Write the roster as a site was shown it; approvals are checked when a run begins."""
        roster = Roster(keys, approvals)
        if not self.roster_file.exists() or self.roster() != roster:
            self._write_roster(roster)
        return roster

    def approve(self, site: str) -> Roster:
        """Sign the roster as ``site``, which holds to it from here on.

        Raises ConfigError without a roster, SecureSumError when it lacks the site or its key.
        """
        roster = self.roster()
        if roster is None:
            raise ConfigError(
                "there is no roster to approve",
                looked=str(self.roster_file),
                fix="`fed-audience roster add SITE KEY` for each site",
            )
        approved = roster.approved(self.identity(site))
        self._write_roster(approved)
        write_whole(self._pin(site), f"{approved.sha256}\n".encode(), "the approved roster's hash")
        return approved

    def keep_approval(self, site: str, approval: bytes) -> None:
        """Keep a signature of ``site`` that came in and was checked, in the roster file."""
        with self._alone():
            roster = self.roster()
            if roster is not None and site in roster.keys:
                self._write_roster(Roster(roster.keys, {**roster.approvals, site: approval}))

    def holds_to(self, site: str) -> str | None:
        """Hash of the roster that ``site`` approved, None before it approved one."""
        pin = self._pin(site)
        return pin.read_text(encoding="ascii", errors="replace").strip() if pin.exists() else None

    def open(
        self,
        builds: Mapping[str, str | None],
        *,
        accepts: Collection[Override] = OVERRIDES,
    ) -> dict[str, SecureSite]:
        """Return the sites of a run, ready to sign: site -> build that its rows are a state of.

        With a roster each site must have approved this one, with the key that stands in it.
        Without, whoever runs this process enrols its sites on the spot. ``accepts``: rules that a
        run may set aside. Raises SecureSumError
        (roster_changed, unapproved_roster, unknown_site, bad_identity), ConfigError.
        """
        roster = self.roster()
        if roster is None:
            for site in builds:
                self._made(self.key_file(site), site)
        identities = {site: self.identity(site) for site in builds}
        if roster is not None:
            self._check(roster, identities.values())
        agreed = roster or enrol(identities.values())
        return {
            site: SecureSite(
                identity,
                agreed,
                self._ledger(site, keep_runs=roster is not None),
                accepts=accepts,
                build=builds[site],
            )
            for site, identity in identities.items()
        }

    def releases(self, site: str) -> Path:
        """Folder of the noisy vectors that ``site`` has sent."""
        return self._keys / f"{site}.releases"

    def check_cohort(self, builds: Mapping[str, str | None], cohort: Sequence[str]) -> None:
        """Raise ConfigError when ``cohort`` differs too little from an earlier one on a build."""
        sites = tuple(sorted(cohort))
        for site, build in builds.items():
            if build is None or site not in sites:
                continue
            try:
                check_groups([sites, *self._ledger(site).cohorts(build)])
            except SecureSumError as error:
                raise ConfigError(
                    f"{site} has trained on the same rows with almost the same sites before: two "
                    "models would tell who differs",
                    value=", ".join(sites),
                    limit=f"the same sites, or {error.limit} others",
                    looked=f"the ledger of {site}, build {build.rpartition('@')[2]}",
                    fix="train with the same sites, build the tables again with dbt, or record "
                    "override_small_change and override_by at the model in federation.yml",
                ) from None

    def _check(self, roster: Roster, identities: Iterable[SiteIdentity]) -> None:
        roster.check()
        for identity in identities:
            site, held = identity.name, self.holds_to(identity.name)
            if roster.key_of(site) != identity.public_key:
                raise SecureSumError("unknown_site", detail=f"{site}: its key is not in the roster")
            if held is None:
                raise SecureSumError("unapproved_roster", detail=site, limit=_APPROVE)
            if held != roster.sha256:
                raise SecureSumError(
                    "roster_changed", detail=f"{site}: {roster.sha256[:12]}", limit=held[:12]
                )

    def _ledger(self, site: str, *, keep_runs: bool = True) -> FileLedger:
        return FileLedger(self._keys / f"{site}.ledger", keep_runs=keep_runs)

    def _pin(self, site: str) -> Path:
        return self._keys / f"{site}.roster"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the roster file against others who change it, in this process or another."""
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._keys / "roster.lock").open("a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write_roster(self, roster: Roster) -> None:
        write_whole(self.roster_file, roster.to_json().encode(), "the roster")

    def _made(self, path: Path, site: str) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            KeyFile.open(path, site)
        except OSError as error:
            raise ResourceError(
                "the site's identity cannot be written",
                value=error.strerror,
                looked=str(path),
                fix="correct audit.keys in federation.yml, or the folder's permissions",
            ) from error
