"""What people allow, refuse and take back, and everything that goes wrong on the way.

All generated. People decide at registration, renew, answer cookie banners and the app, withdraw,
unsubscribe and come back; some contradict themselves, some clocks are wrong, some events arrive
late or twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.columns import AS_OF_US, DAY, HOUR, MINUTE, NEVER, SECOND
from fed_audience.demo.customers import APP, CRM, WEB, Customers, Identities
from fed_audience.demo.draws import choose, happens, logistic
from fed_audience.demo.ledger import (
    ADS,
    BANNER,
    CENTRE,
    COLLECT,
    DENIED,
    DIALOG,
    EMAIL,
    EXPIRED,
    FORM,
    GRANTED,
    NIGHTLY,
    PARTNER,
    PROFILE,
    RENEWAL,
    SHARE_MODEL,
    TRAIN,
    UNKNOWN,
    UNSUBSCRIBE,
    WITHDRAWN,
    Ledger,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRANT_RATES: Final = (0.985, 0.965, 0.905, 0.90, 0.69, 0.48, 0.14)
"""How many want each purpose, in the order of ``ledger.PURPOSES``."""
ASKED_RATES: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 0.85, 0.5)
"""How many are asked for each purpose when they register."""
WITHDRAWALS: Final = (
    (0.0, 0.05, UNSUBSCRIBE, (EMAIL,)),
    (0.05, 0.065, CENTRE, (EMAIL, ADS, PARTNER)),
    (0.065, 0.085, CENTRE, (TRAIN, SHARE_MODEL)),
    (0.085, 0.095, CENTRE, (PROFILE, TRAIN, SHARE_MODEL, EMAIL, ADS)),
)
"""From which to which part of the customers withdraw, by which way, which purposes."""


def consent_histories(
    customers: Customers, identities: Identities, rng: np.random.Generator
) -> tuple[Ledger, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return all consent events, and since when and until when each customer may be mailed."""
    ledger = Ledger(identities)
    crm = identities.first(CRM, customers.size)
    wants = _wishes(customers, rng)
    _register(ledger, customers, crm, wants, rng)
    _renew(ledger, customers, crm, wants, rng)
    _answer_on_devices(ledger, wants, rng)
    mail_ends = _withdraw(ledger, customers, crm, wants, rng)
    _contradict(ledger, customers, crm, rng)
    _mistake_the_time(ledger, customers, rng)
    _confirm_lately(ledger, crm, wants, rng)
    again = happens(rng, 0.02, ledger.size)
    ledger.deliver_again(again, rng.integers(1, 2880, int(again.sum())) * MINUTE)
    return ledger, (np.where(wants[:, EMAIL], customers.created, AS_OF_US), mail_ends)


def _wishes(customers: Customers, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw what each customer wants: the open-minded allow more of everything, and buy more."""
    openness = rng.normal(0.0, 1.0, customers.size) + 0.2 * customers.people.traits.propensity
    rates = np.array(GRANT_RATES)
    # The factor makes up for the spread of openness, so that the rates stay what they say.
    pull = 1.25 * np.log(rates / (1.0 - rates))
    chance = logistic(pull[None, :] + 1.2 * openness[:, None])
    wants = rng.random(chance.shape) < chance
    in_one_breath = happens(rng, 0.7, customers.size)
    wants[in_one_breath, SHARE_MODEL] = wants[in_one_breath, TRAIN]
    return wants


def _register(
    ledger: Ledger,
    customers: Customers,
    crm: NDArray[np.int64],
    wants: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Answer the registration form; some shrug, some grants end by date, some arrive late."""
    who, purpose = np.nonzero(rng.random(wants.shape) < np.array(ASKED_RATES))
    at = customers.created[who] + rng.integers(1, 40, who.size) * SECOND
    status = np.where(wants[who, purpose], GRANTED, DENIED)
    status[happens(rng, 0.008, who.size)] = UNKNOWN
    late = happens(rng, 0.02, who.size)
    recorded = at + np.where(late, rng.integers(1, 20 * 24, who.size) * HOUR, 2 * SECOND)
    dated = happens(rng, 0.2, customers.size)[who] & (status == GRANTED)
    years = np.where(happens(rng, 0.85, customers.size), 3, 1)[who]
    expires = np.where(dated, at + years * 365 * DAY, NEVER)
    ledger.add(crm[who], purpose, status, at, FORM, recorded=recorded, expires=expires)


def _renew(
    ledger: Ledger,
    customers: Customers,
    crm: NDArray[np.int64],
    wants: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Ask those of long standing again; most renew, some refuse, some let it lapse."""
    old = np.flatnonzero(customers.created < AS_OF_US - 500 * DAY)
    old = old[happens(rng, 0.95, old.size)]
    asked = np.maximum(customers.created[old] + 90 * DAY, AS_OF_US - 450 * DAY)
    at = asked + (rng.random(old.size) * 300 * DAY).astype(np.int64) // SECOND * SECOND
    refused = happens(rng, 0.02, old.size)
    for purpose in (COLLECT, PROFILE, TRAIN, SHARE_MODEL, EMAIL):
        granted = wants[old, purpose] & ~(refused & (purpose > PROFILE))
        status = np.where(granted, GRANTED, DENIED)
        ledger.add(crm[old], purpose, status, at + purpose * SECOND, RENEWAL)


def _answer_on_devices(ledger: Ledger, wants: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Answer on browsers and apps, by their clocks; the wary refuse there what the CRM has."""
    for system, method, purposes in (
        (WEB, BANNER, (COLLECT, PROFILE, ADS)),
        (APP, DIALOG, (COLLECT, TRAIN)),
    ):
        rows = np.flatnonzero(ledger.identities.system == system)
        rows = rows[happens(rng, 0.8, rows.size)]
        owner = ledger.identities.customer[rows]
        wary = happens(rng, 0.035, rows.size)
        for purpose in purposes:
            at = ledger.identities.since[rows] + rng.integers(1, 600, rows.size) * SECOND
            granted = wants[owner, purpose] & ~(wary & (purpose != COLLECT))
            status = np.where(granted, GRANTED, DENIED)
            effective = at + _clock_errors(rows.size, rng)
            ledger.add(rows, purpose, status, at, method, effective=effective)


def _clock_errors(size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how wrong clients' clocks are: mostly seconds, 7 % hours, 3 % days, either way."""
    span = np.array([20 * SECOND, 14 * HOUR, 9 * DAY])[choose(rng, (0.9, 0.07, 0.03), size)]
    error: NDArray[np.int64] = (rng.uniform(-1.0, 1.0, size) * span).astype(np.int64)
    return error // SECOND * SECOND


def _withdraw(
    ledger: Ledger,
    customers: Customers,
    crm: NDArray[np.int64],
    wants: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Unsubscribe, withdraw more, sometimes come back; returns when each one's e-mail ended."""
    latest = AS_OF_US - 2 * HOUR
    span = np.minimum(latest - HOUR - customers.created, 400 * DAY)
    at = latest - (rng.random(customers.size) * span).astype(np.int64) // SECOND * SECOND
    fate = rng.random(customers.size)
    mail_ends = np.full(customers.size, AS_OF_US)
    for low, high, method, purposes in WITHDRAWALS:
        chosen = (fate >= low) & (fate < high)
        for purpose in purposes:
            who = np.flatnonzero(chosen & wants[:, purpose])
            ledger.add(crm[who], purpose, WITHDRAWN, at[who], method)
            if purpose == EMAIL:
                mail_ends[who] = at[who]
            back = who[happens(rng, 0.12, who.size)]
            again = at[back] + rng.integers(2, 60 * 24, back.size) * HOUR
            ledger.add(crm[back], purpose, GRANTED, again, CENTRE)
    return mail_ends


def _moments_since(created: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an instant of each customer's time with the brand."""
    span = AS_OF_US - 3 * HOUR - created
    return created + (rng.random(created.size) * span).astype(np.int64) // SECOND * SECOND


def _contradict(
    ledger: Ledger, customers: Customers, crm: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Say yes and no in one instant; let a nightly job expire a grant."""
    who = np.flatnonzero(happens(rng, 0.006, customers.size))
    at = _moments_since(customers.created[who], rng)
    purpose = rng.choice([TRAIN, EMAIL], who.size)
    ledger.add(crm[who], purpose, GRANTED, at, CENTRE)
    ledger.add(crm[who], purpose, DENIED, at, CENTRE)
    who = np.flatnonzero(happens(rng, 0.008, customers.size))
    ledger.add(crm[who], EMAIL, EXPIRED, _moments_since(customers.created[who], rng), NIGHTLY)


def _mistake_the_time(ledger: Ledger, customers: Customers, rng: np.random.Generator) -> None:
    """Grant on a clock months ahead, and withdraw on one that lies before the grant."""
    for system in (WEB, APP):
        device = ledger.identities.first(system, customers.size)
        for purpose, status, first_day, last_day in (
            (EMAIL, GRANTED, 1, 90),
            (PROFILE, WITHDRAWN, -900, -200),
        ):
            who = np.flatnonzero(happens(rng, 0.01, customers.size) & (device >= 0))
            at = _moments_since(customers.created[who], rng)
            effective = at + rng.integers(first_day, last_day, who.size) * DAY
            ledger.add(device[who], purpose, status, at, DIALOG, effective=effective)


def _confirm_lately(
    ledger: Ledger,
    crm: NDArray[np.int64],
    wants: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Confirm some settings until minutes before the as-of, so that the ledger is fresh."""
    willing = np.flatnonzero(wants[:, COLLECT])
    who = rng.choice(willing, min(willing.size, 4 + crm.size // 400), replace=False)
    at = AS_OF_US - 10 * MINUTE - rng.integers(0, 20 * 3600, who.size) * SECOND
    at[:1] = AS_OF_US - 12 * MINUTE
    ledger.add(crm[who], COLLECT, GRANTED, at, CENTRE)
