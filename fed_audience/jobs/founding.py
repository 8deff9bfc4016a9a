"""The operator's first step: a folder with federation.yml, certificates and the audit log's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError
from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.files import write_whole
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.settings import load_federation

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.jobs.settings import FederationSettings

_TEMPLATE: Final = """\
# The operator's file: the coordinator, and what every site signs.
name: {name}
coordinator:
  host: {host}
  listen: "{listen}"
contract:
  minimum_sites: 3
  purposes: [train, share_model, profile]
  destinations: []
  reports: {{every_site: [software, schema, reasons]}}
minimum_rows: 1000
# What is trained, in words that every brand signs. Take the marks away and correct it:
models: []
#  - name: repurchase
#    parameters: {{n_estimators: 200, early_stopping_round: 20}}
#    terms:
#      label: {{definition: orders again, horizon_days: 90}}
#      features:
#        - {{name: f_orders_90d, definition: orders of the last 90 days, unit: orders}}
#        - {{name: f_country, definition: country of residence, type: category}}
"""


def found(config: Path, *, name: str, host: str, listen: str) -> FederationSettings:
    """Make what a coordinator needs below the folder of ``config``, and return its settings.

    federation.yml when there is none, a development authority with the coordinator's certificate,
    and the key that signs audit logs. Raises ConfigError where certificates are already: a new
    authority would shut out every site that has joined.
    """
    if not config.exists():
        text = _TEMPLATE.format(name=name, host=host, listen=listen)
        write_whole(config, text.encode(), "the configuration")
    settings = load_federation(config)
    own = settings.coordinator
    if own is None:
        raise ConfigError(
            "the file is not a coordinator's",
            looked=str(config),
            fix="give another path with --config, or add `coordinator: {host: ...}` to it",
        )
    if (own.certificates / "certificate.pem").exists():
        raise ConfigError(
            "there are certificates already",
            looked=str(own.certificates),
            fix="keep them; move the folder away to begin anew, and let every site join again",
        )
    authority = DevelopmentAuthority.create()
    authority.save(own.certificates / "authority")
    hosts = list(dict.fromkeys([own.host, "localhost", "127.0.0.1"]))
    authority.issue_coordinator(hosts, own.certificates)
    AuditTrail(settings).prepare([])
    return settings
