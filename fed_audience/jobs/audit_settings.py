"""`audit:` in federation.yml: where the logs and keys stand, and the record of processing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fed_audience.audit.fields import ProcessingRecord
from fed_audience.config import StrictModel

KEYS_VARIABLE: Final = "FED_AUDIENCE_AUDIT_KEYS"
"""Environment variable that leads to the folder of keys, before `audit.keys`."""


class AuditSettings(StrictModel):
    """Where a federation keeps its audit logs, and what it declares under GDPR Art. 30.

    ``keys``: folder of the private keys and the pinned public ones; `keys` below ``folder``
    without it. Keep it where the logs are not copied to.
    """

    folder: Path = Path("audit")
    keys: Path | None = None
    record: ProcessingRecord | None = None

    @property
    def keys_folder(self) -> Path:
        """Where the keys stand."""
        return self.keys or self.folder / "keys"

    def resolved(self, base: Path) -> AuditSettings:
        """Return the settings with paths that begin at ``base``, or where the variable leads."""
        folder = (base / self.folder).resolve()
        keys = Path(os.environ.get(KEYS_VARIABLE) or self.keys or folder / "keys")
        return self.model_copy(update={"folder": folder, "keys": (base / keys).resolve()})
