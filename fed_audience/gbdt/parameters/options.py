"""Reading training parameters as users write them: our names, or LightGBM's other words."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters.lightgbm_names import ALIASES, LACKING, OBJECTIVE_ALIASES


def chosen_fields(options: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, Any]:
    """Return values by field name; ``defaults`` are the fields there are, and their types.

    Raises ConfigError for a word that is no option, an option that LightGBM has and we have not,
    two words for one option, and a value of the wrong type.
    """
    chosen: dict[str, Any] = {}
    words: dict[str, str] = {}
    for word, value in options.items():
        name = ALIASES.get(word, word)
        if name not in defaults:
            _refuse_unless_harmless(word, value, defaults)
            continue
        if name in words:
            raise ConfigError(
                f"training parameters '{words[name]}' and '{word}' are the same",
                fix="give one of them",
            )
        words[name] = word
        chosen[name] = _typed(word, value, defaults[name])
    return chosen


def _refuse_unless_harmless(word: str, value: object, defaults: Mapping[str, object]) -> None:
    """Pass over an option of LightGBM whose value asks for nothing that we do not do."""
    if (lacking := LACKING.get(word)) is None:
        known = [*defaults, *ALIASES]
        near = get_close_matches(word, known, n=1, cutoff=0.4)
        raise ConfigError(
            f"training parameter '{word}' does not exist",
            fix=f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(defaults)}",
        )
    if not any(_same(value, harmless) for harmless in lacking.harmless):
        raise ConfigError(
            f"training parameter '{word}' is LightGBM's and not ours",
            value=repr(value),
            limit=" or ".join(map(repr, lacking.harmless)) or None,
            fix=lacking.instead,
        )


def _same(value: object, other: object) -> bool:
    """Equality that tells 1 from true."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _typed(word: str, value: object, default: object) -> object:
    """Bring a value to the type of its field; ConfigError where it has another."""
    if isinstance(default, tuple):
        return _directions(word, value)
    if isinstance(default, str):
        if isinstance(value, str):
            return OBJECTIVE_ALIASES.get(value, value)
        raise _wrong_type(word, value, "a word")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(word, value, "a number")
    if isinstance(default, float):
        return float(value)
    if not float(value).is_integer():
        raise _wrong_type(word, value, "a whole number")
    return int(value)


def _directions(word: str, value: object) -> tuple[tuple[str, int], ...]:
    """Constraints by feature name, in order of the names; a feature of direction 0 is free."""
    if not isinstance(value, Mapping):
        raise _wrong_type(word, value, "a mapping from feature to 1 or -1")
    for name, sign in value.items():
        if not any(_same(sign, direction) for direction in (-1, 0, 1)):
            raise _wrong_type(f"{word}: {name}", sign, "1, 0 or -1")
    return tuple(sorted((str(name), int(sign)) for name, sign in value.items() if sign))


def _wrong_type(word: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(
        f"training parameter '{word}' is not {wanted}", value=repr(value), fix=f"give {wanted}"
    )
