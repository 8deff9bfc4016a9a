from __future__ import annotations

import re

from fed_audience import errors
from fed_audience.errors import DataError, FedAudienceError


def every_error() -> list[type[FedAudienceError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, FedAudienceError)
    ]


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in every_error()]
    assert len(codes) == len(set(codes)) > 10
    assert all(0 < code < 256 for code in codes)


def test_the_tree_drawn_in_the_module_is_the_tree_in_the_code() -> None:
    drawn = dict(re.findall(r"^(?:[├└]── )?(\w+)\s+(\d+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {kind.__name__: str(kind.exit_code) for kind in every_error()}


def test_a_message_says_what_value_limit_where_and_what_to_do() -> None:
    error = DataError(
        "too many bins", value=300, limit="3 to 255", looked="model.yml", fix="use max_bin: 255"
    )
    assert str(error) == (
        "too many bins; value: 300; allowed: 3 to 255; looked in: model.yml. "
        "To mend it: use max_bin: 255"
    )


def test_parts_that_are_not_known_are_left_out() -> None:
    assert str(DataError("the file is empty")) == "the file is empty"
