"""Score the rows of a relation at home: Arrow batches through the encoder and the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from fed_audience.errors import DataError
from fed_audience.gbdt.models.text_predictor import column_predictor
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fed_audience.gbdt.bins import Feature
    from fed_audience.gbdt.bins.encoding import Encoder
    from fed_audience.warehouse.protocol import Relation, Warehouse


def score(  # noqa: PLR0913 - each is another choice of the caller
    warehouse: Warehouse,
    relation: Relation,
    model_text: str,
    encoder: Encoder,
    *,
    key: bytes = b"",
    entity: str = "customer_id",
    accept_missing: bool = False,
    among: str | None = None,
    batch_rows: int = 16_384,
) -> Iterator[pa.Table]:
    """Yield (customer_id, score) for every row of ``relation``, in bounded memory.

    ``score`` is what ``lightgbm.Booster.predict`` gives: a probability for a binary model.
    ``key`` is the sites' category key. A feature that the relation lacks is missing for
    everybody when ``accept_missing``, else a DataError naming all of them. ``among``: a select of
    the only customers to be scored. Raises ModelFormatError for a text that cannot be trusted.
    """
    model = column_predictor(model_text, encoder)
    columns = warehouse.columns(relation)
    refuse_absent(relation, columns, encoder, entity, accept_missing=accept_missing)
    statement = _select(relation, columns, model.features, entity)
    if among is not None:
        statement += f" where cast({quoted(entity)} as varchar) in ({among})"
    for batch in warehouse.stream(statement, batch_rows=batch_rows):
        features = {name: batch.column(name) for name in batch.schema.names}
        scores = model.predict(features, key)
        yield pa.table(
            {"customer_id": batch.column(0).cast(pa.string()), "score": pa.array(scores)}
        )


def refuse_absent(
    relation: Relation,
    columns: Mapping[str, str],
    encoder: Encoder,
    entity: str,
    *,
    accept_missing: bool,
) -> None:
    """Raise DataError naming the columns that the model needs and ``relation`` lacks."""
    absent = [feature.name for feature in encoder.features if feature.name not in columns]
    if entity not in columns or (absent and not accept_missing):
        names = [entity] if entity not in columns else absent
        raise DataError(
            f"columns that the model needs are missing: {', '.join(names)}",
            looked=relation.sql(),
            fix="build the features again with the version of the package that trained the model,"
            " or set missing_features: accept",
        )


def _select(
    relation: Relation, columns: Mapping[str, str], features: Sequence[Feature], entity: str
) -> str:
    """Read only what the trees ask for."""
    missing = {
        feature.name: "varchar" if feature.categorical else "double precision"
        for feature in features
        if feature.name not in columns
    }
    selected = [quoted(entity)]
    selected += [
        f"cast(null as {missing[feature.name]}) as {quoted(feature.name)}"
        if feature.name in missing
        else quoted(feature.name)
        for feature in features
        if feature.name != entity
    ]
    return f"select {', '.join(selected)} from {relation.sql()}"
