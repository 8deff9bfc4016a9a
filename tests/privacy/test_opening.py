from __future__ import annotations

import numpy as np
import pytest

from fed_audience.privacy.masks import RING_32, RING_64
from fed_audience.privacy.opening import MaskedSum
from fed_audience.privacy.refusals import SecureSumError


@pytest.mark.parametrize("vectors", [0, 1, 2, 3])
def test_the_sum_is_over_what_was_added_and_no_sender_s_memory_changes(vectors: int) -> None:
    sent = [np.arange(4, dtype="<u8") + number for number in range(vectors)]
    for vector in sent:
        vector.flags.writeable = False
    total = MaskedSum(4, RING_64)
    for vector in sent:
        total.add(vector)
    found = total.total()
    assert found.tolist() == np.array(sent, dtype=np.int64).reshape(-1, 4).sum(axis=0).tolist()
    found[:] = -1
    assert [vector[0] for vector in sent] == list(range(vectors))


def test_a_vector_of_another_length_or_ring_is_refused() -> None:
    total = MaskedSum(4, RING_64)
    for vector in (np.zeros(3, "<u8"), np.zeros(4, "<u4")):
        with pytest.raises(SecureSumError, match="elements"):
            total.add(vector)
    MaskedSum(4, RING_32).add(np.zeros(4, "<u4"))
