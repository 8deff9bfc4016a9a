"""What was done after a person withdrew, as a certificate that the site signs.

It names the person by a keyed hash alone. Issuing it first removes what consent does not cover any
more, so that it says what is, not what is to be.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from fed_audience.activation.erasure import PersonDelivery, deliveries_of
from fed_audience.audit.fields import TIME_FORMAT, canonical
from fed_audience.consent.erasures import ERASED
from fed_audience.consent.events import LEDGER_COLUMNS, events_of
from fed_audience.consent.person_keys import PersonKeys
from fed_audience.consent.purposes import PROFILE, PURPOSES, TRAINING
from fed_audience.consent.rules import read_rules
from fed_audience.consent.statement import ConsentRelations
from fed_audience.consent.training_people import held_models
from fed_audience.consent.withdrawal import Lost, lost_purposes
from fed_audience.errors import AuditError, ConsentError
from fed_audience.jobs.erasure import forget_uses
from fed_audience.jobs.retraining_due import retrain_by
from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pydantic import SecretStr

    from fed_audience.consent.training_people import HeldModel
    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.privacy.identity import SiteIdentity
    from fed_audience.warehouse.protocol import Warehouse

_PREFIX: Final = b"fed-audience consent certificate 1\n"
_ACTIVATE: Final = "activate:"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed statement of ``site``; ``open_points`` are what is still to be done."""

    document: Mapping[str, Any]
    public_key: bytes
    signature: bytes

    @property
    def site(self) -> str:
        """Who signed it."""
        return str(self.document["site"])

    @property
    def person(self) -> str:
        """Key of the person whom it is about."""
        return str(self.document["person"])

    @property
    def open_points(self) -> tuple[str, ...]:
        """What is still to be done, in words."""
        return tuple(self.document["open"])

    def to_json(self) -> str:
        """Return the file that the person may be given."""
        signed = {
            **self.document,
            "public_key": b64encode(self.public_key).decode(),
            "signature": b64encode(self.signature).decode(),
        }
        return json.dumps(signed, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Self:
        """Read a certificate whose own signature holds. Raises AuditError for any other text.

        Whether its key is the site's is for the reader to know.
        """
        try:
            document = json.loads(text)
            key = b64decode(document.pop("public_key"), validate=True)
            signature = b64decode(document.pop("signature"), validate=True)
            site, _person = str(document["site"]), document["person"]
            check_signature(site, key, signature, _PREFIX + canonical(document))
            [str(one) for one in document["open"]]
        except (ValueError, KeyError, TypeError, AttributeError, SecureSumError) as error:
            raise AuditError(
                "that is no certificate, or it was changed after it was signed",
                value=type(error).__name__,
                looked=source,
                fix="ask the site for it again",
            ) from None
        return cls(document, key, signature)


def issue_certificate(
    settings: FederationSettings,
    site: Site,
    customer_id: str,
    *,
    identity: SiteIdentity,
    secret: SecretStr,
    now: datetime,
) -> Certificate:
    """Remove what the person does not allow any more, and certify what is left of them.

    ``secret`` is the site's state key; ``now`` the instant of consent, naive UTC. Raises
    ConsentError for somebody who neither withdrew anything nor was erased.
    """
    keys = PersonKeys(secret, site.name)
    with site.open() as warehouse, warehouse.transaction():
        erased = site.tombstones(warehouse).of(customer_id)
        lost = _lost(site, warehouse, customer_id, now)
        if not lost and erased is None:
            raise ConsentError(
                "nothing to certify: this person has withdrawn nothing and was not erased",
                looked=ConsentRelations.of_schema(site.profile.schema_).ledger.sql(),
                fix="`fed-audience consent explain CUSTOMER` says what they allow",
            )
        everything = [Lost(purpose, ERASED, erased) for purpose in PURPOSES] if erased else []
        gone = {one.purpose: one for one in (*lost, *everything)}
        removed = _remove(warehouse, customer_id, gone, whole=erased is not None)
        models = held_models(warehouse, keys, customer_id)
        sent = deliveries_of(warehouse, site.name, customer_id, secret)
        document = {
            "certificate": 1,
            "federation": settings.name,
            "site": site.name,
            "issued_at": now.strftime(TIME_FORMAT),
            "person": keys.of(customer_id),
            "key_id": keys.id,
            "erased_at": _time(erased),
            "withdrawn": [
                {"purpose": one.purpose, "rule": one.rule, "since": _time(one.since)}
                for one in lost
            ],
            **removed,
            "destinations": [_destination(one) for one in sent],
            **_models(settings, models, gone),
        }
    document["open"] = _open_points(document)
    signature = identity.sign(_PREFIX + canonical(document))
    return Certificate(document, identity.public_key, signature)


def _lost(site: Site, warehouse: Warehouse, customer_id: str, now: datetime) -> tuple[Lost, ...]:
    relations = ConsentRelations.of_schema(site.profile.schema_)
    rules = read_rules(warehouse, relations.rules)
    rows = warehouse.query(
        f"select {LEDGER_COLUMNS} from {relations.ledger.sql()} where subject_id = ?",
        [customer_id],
    )
    events = list(events_of(rows))
    said = sorted({event.purpose for event in events if event.purpose})
    return lost_purposes(events, said, now, rules, customer_id)


def _remove(
    warehouse: Warehouse, customer_id: str, gone: Mapping[str, Lost], *, whole: bool
) -> dict[str, Any]:
    """Delete scores and memberships that no purpose covers; say of which there are none."""
    channels = tuple(
        purpose.removeprefix(_ACTIVATE) for purpose in gone if purpose.startswith(_ACTIVATE)
    )
    profile = PROFILE in gone
    now_scores, now_members = forget_uses(
        warehouse, customer_id, scores=profile, channels=None if whole else channels
    )
    scores = warehouse.query(
        "select model_name as model, max(scored_at) as newest,"
        " count(case when customer_id = ? then 1 end) as theirs"
        f" from {control('scores').sql()} group by model_name order by 1",
        [customer_id],
    ).to_pylist()
    audiences = warehouse.query(
        "select audience, channel, max(selected_at) as newest,"
        " count(case when customer_id = ? then 1 end) as theirs"
        f" from {control('audience_members').sql()} group by audience, channel"
        " order by 1",
        [customer_id],
    ).to_pylist()
    return {
        "scores": {
            "removed_with_this_certificate": now_scores,
            "without_the_person": [
                {"model": row["model"], "as_of": _time(row["newest"])}
                for row in scores
                if not row["theirs"]
            ],
            "with_the_person": [row["model"] for row in scores if row["theirs"]],
        },
        "audiences": {
            "removed_with_this_certificate": now_members,
            "without_the_person": [
                {"audience": row["audience"], "as_of": _time(row["newest"])}
                for row in audiences
                if not row["theirs"]
            ],
            "with_the_person": [row["audience"] for row in audiences if row["theirs"]],
        },
    }


def _models(
    settings: FederationSettings, models: tuple[HeldModel, ...], gone: Mapping[str, Lost]
) -> dict[str, Any]:
    """Say which training sets had the person, and until when an influence may remain."""
    since = [gone[purpose].since for purpose in TRAINING if purpose in gone]
    by = retrain_by(settings.withdrawal, min(since)) if since else None
    told = [
        {
            "model": one.model_name,
            "version": one.model_version,
            "active": one.is_active,
            "trained_at": _time(one.trained_at),
            "run": one.run_id,
            # Nobody wrote down who trained it: the person may have.
            "trained_on_the_person": "not on record" if one.contains is None else one.contains,
            "retrain_by": _time(by) if one.is_active and one.contains is not False else None,
        }
        for one in models
    ]
    return {"training": {"excluded_since": _time(min(since)) if since else None, "models": told}}


def _destination(one: PersonDelivery) -> dict[str, Any]:
    return {
        "destination": one.destination,
        "audience": one.audience,
        "state": "not confirmed as removed" if one.held else "removed",
        "last_sent_at": _time(one.last_sent_at),
    }


def _open_points(document: Mapping[str, Any]) -> list[str]:
    removals = [
        f"{one['destination']} has not confirmed the removal from {one['audience']}; "
        f"the next sync of {one['audience']} asks for it"
        for one in document["destinations"]
        if one["state"] != "removed"
    ]
    models = [
        f"{one['model']} version {one['version']} "
        + ("may hold" if one["trained_on_the_person"] == "not on record" else "holds")
        + f" an influence of the person; it is to be trained again by {one['retrain_by'][:10]}"
        for one in document["training"]["models"]
        if one["retrain_by"] is not None
    ]
    return removals + models


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime(TIME_FORMAT)
