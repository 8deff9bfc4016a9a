"""The contract on disk: drawn up by the operator, signed at each site, checked before each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError, ContractError
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.contract.terms import Contract, ModelTerms, all_parameters
from fed_audience.files import write_whole
from fed_audience.jobs.audit_trail import log_key
from fed_audience.jobs.members import Members

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fed_audience.jobs.settings import FederationSettings, ModelSettings


class Contracts:
    """The contract file of a federation, and what each site of this process has signed.

    What a site signed stands beside its key (`SITE.contract`); only that counts for the site, and
    not a file that somebody replaced since.
    """

    def __init__(self, settings: FederationSettings) -> None:
        self._settings = settings
        self._members = Members(settings)
        self.file = settings.contract_file

    def drawn(self) -> Contract:
        """Draw the contract up from federation.yml and the roster.

        Raises ConfigError where something that a contract needs is missing.
        """
        settings = self._settings
        if settings.contract is None:
            raise ConfigError(
                "this federation.yml draws up no contract",
                looked="contract in federation.yml",
                fix="add `contract: {minimum_sites: 3}` where the operator keeps the models",
            )
        roster = self._members.roster()
        if roster is None or not roster.keys:
            raise ConfigError(
                "the contract names every site with its key, and no site is in the roster yet",
                looked=str(self._members.roster_file),
                fix="`fed-audience federation invite SITE` for each site, or `roster add`",
            )
        return Contract.parse(
            {
                **settings.contract.model_dump(),
                "federation": settings.name,
                "roster": {site: key.hex() for site, key in sorted(roster.keys.items())},
                "log_key": None if settings.coordinator is None else log_key(settings).hex(),
                "minimum_rows": settings.minimum_rows,
                "models": [
                    _terms_of(model, tuple(sorted(roster.keys))).model_dump()
                    for model in settings.models
                ],
            },
            source="federation.yml",
        )

    def held(self) -> SignedContract | None:
        """Read the contract file, None where there is none. Raises ContractError."""
        return _read(self.file)

    def publish(self) -> SignedContract:
        """Write the contract as federation.yml has it; signatures under another text fall away."""
        contract, held = self.drawn(), self.held()
        if held is not None and held.contract.sha256 == contract.sha256:
            return held
        fresh = SignedContract(contract)
        self.keep(fresh)
        return fresh

    def keep(self, contract: SignedContract) -> None:
        """Write the contract file, whole or not at all."""
        write_whole(self.file, contract.to_json().encode(), "the contract")

    def to_sign(self) -> SignedContract:
        """Return what a site would sign now. Raises ContractError where there is nothing."""
        found = self.publish() if self._settings.contract is not None else self.held()
        if found is None:
            raise ContractError(
                "there is no contract to sign",
                looked=str(self.file),
                fix="`fed-audience site join`, and let the agent fetch it from the coordinator",
            )
        return found

    def sign(self, site: str) -> SignedContract:
        """Sign the contract as ``site``, which answers runs of this one alone from here on.

        The roster in it is approved with it.
        """
        signed = self.to_sign().signed(self._members.identity(site))
        self.keep(signed)
        write_whole(self._pin(site), signed.to_json().encode(), "the signed contract")
        if self._settings.agent is not None:
            keys = {name: bytes.fromhex(key) for name, key in signed.contract.roster.items()}
            known = self._members.roster() if self._members.roster_file.exists() else None
            same = known is not None and known.keys == keys
            self._members.adopt(keys, known.approvals if known is not None and same else {})
        self._members.approve(site)
        return signed

    def signed_by(self, site: str) -> SignedContract | None:
        """Return what ``site`` of this process signed last; None before it signed."""
        return _read(self._pin(site))

    def check_use(self, site: str, purpose: str, destinations: Iterable[str]) -> None:
        """Raise ContractError where ``site`` signed that scores are not used like this.

        ``purpose``: of the audience; ``destinations``: names of where it is to go.
        """
        signed = self.signed_by(site)
        if signed is None:
            return
        contract = signed.contract
        for what, found, allowed in (
            ("purpose", [purpose], contract.purposes),
            ("destination", destinations, contract.destinations),
        ):
            if beyond := sorted(set(found) - set(allowed)):
                raise ContractError(
                    f"the contract that {site} signed does not allow this {what}",
                    value=", ".join(beyond),
                    limit=", ".join(allowed) or "none",
                    looked=f"contract {contract.sha256[:12]}",
                    fix=f"take it out of the audience, or let every site sign a {what} more",
                )

    def allows_destination(self, site: str, destination: str) -> bool:
        """Whether what ``site`` signed lets people be sent to ``destination``."""
        signed = self.signed_by(site)
        return signed is None or destination in signed.contract.destinations

    def require(self, sites: Iterable[str]) -> Contract | None:
        """Return the contract that all ``sites`` of this process signed; None without a contract.

        Raises ContractError when one has not signed, or what is to be run is not what it signed.
        """
        if self._settings.contract is None and not self.file.exists():
            return None
        current, wanted = self.to_sign(), sorted(sites)
        for site in wanted:
            own = self.signed_by(site)
            if own is not None and own.contract.sha256 != current.contract.sha256:
                place = changed_place(own.contract, current.contract)
                raise ContractError(
                    f"the contract is not the one that {site} signed: {place} was changed",
                    value=current.contract.sha256[:12],
                    limit=own.contract.sha256[:12],
                    looked=str(self.file),
                    fix=f"read it, then `fed-audience federation sign {site}`",
                )
        current.require(wanted)
        return current.contract

    def _pin(self, site: str) -> Path:
        return self._members.key_file(site).with_suffix(".contract")


def changed_place(before: Contract, after: Contract) -> str:
    """Name the first place where two contracts differ: `models.repurchase.label.column`."""
    return _first_change("", _by_name(before), _by_name(after)) or "nothing"


def _by_name(contract: Contract) -> dict[str, object]:
    """Dump a contract with models and features under their names, not their positions."""
    document = contract.model_dump(mode="json")
    for model in document["models"]:
        model["features"] = {feature["name"]: feature for feature in model["features"]}
    document["models"] = {model["name"]: model for model in document["models"]}
    return document


def _first_change(place: str, before: object, after: object) -> str | None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            below = f"{place}.{key}" if place else str(key)
            if key not in before or key not in after:
                return below
            if found := _first_change(below, before[key], after[key]):
                return found
        return None
    return None if before == after else place


def _terms_of(model: ModelSettings, everyone: tuple[str, ...]) -> ModelTerms:
    if model.terms is None:
        raise ConfigError(
            f"model {model.name} has no terms, so nobody can sign what it means",
            looked=f"models in federation.yml: {model.name}.terms",
            fix="declare its features and its label under terms",
        )
    return ModelTerms(
        **model.terms.model_dump(exclude={"features"}),
        features=tuple(sorted(model.terms.features, key=lambda feature: feature.name)),
        name=model.name,
        sites=tuple(sorted(model.sites or everyone)),
        parameters=all_parameters(model.training_parameters(model.terms.task)),
        holdout_fraction=model.holdout_fraction,
        missing_features=model.missing_features,
        weight=model.weight,
        max_weight=model.max_weight,
        site_weights=model.site_weights,
        brand_base=model.brand_base,
    )


def _read(path: Path) -> SignedContract | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(
            "the contract file cannot be read",
            value=getattr(error, "strerror", None) or "not UTF-8 text",
            looked=str(path),
            fix="put it back from a copy, or take it anew from the coordinator",
        ) from error
    return SignedContract.from_json(text, source=str(path))
