"""The identifiers that a brand may choose for destinations it runs itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fed_audience.activation import Hashing, IdentifierRule

IdentifierName = Literal["email", "email_sha256", "phone", "phone_sha256", "customer_id"]
CountryCode = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")]


def rules_of(
    names: tuple[IdentifierName, ...], country_code: str | None
) -> tuple[IdentifierRule, ...]:
    """Return the rule of each name; ``country_code`` completes national phone numbers."""
    rules = {
        "email": IdentifierRule("email", "email"),
        "email_sha256": IdentifierRule("email", "email_sha256", Hashing.SHA256_HEX),
        "phone": IdentifierRule("phone", "phone", country_code=country_code),
        "phone_sha256": IdentifierRule(
            "phone", "phone_sha256", Hashing.SHA256_HEX, country_code=country_code
        ),
        "customer_id": IdentifierRule("customer_id", "customer_id"),
    }
    return tuple(rules[name] for name in dict.fromkeys(names))
