"""Trees as the rows of a table, walked level by level with joins: any size, any engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from fed_audience.warehouse.sql_scoring.tree_expressions import (
    left_codes,
    missing_left,
    value_name,
    zero_is_missing,
)

if TYPE_CHECKING:
    from fed_audience.gbdt.models.reader import ModelText, TreeText
    from fed_audience.warehouse.sql_scoring.dialects import SqlDialect

ROOT: Final = 0

_TYPES: Final[dict[str, pa.DataType]] = {
    "tree": pa.int32(),
    "node": pa.int32(),
    "feature": pa.int32(),
    "threshold": pa.float64(),
    "left_codes": pa.string(),
    "missing_left": pa.bool_(),
    "zero_is_missing": pa.bool_(),
    "left_child": pa.int32(),
    "right_child": pa.int32(),
    "leaf_value": pa.float64(),
}


def nodes_of(model: ModelText) -> pa.Table:
    """Return every node and leaf as a row; leaf number k of a tree is node -k - 1.

    ``left_codes``: the categories that go left, as text `|0|3|`. A tree of one leaf is its root.
    """
    rows = [row for index, tree in enumerate(model.trees) for row in _rows(index, tree)]
    return pa.Table.from_pylist(rows, schema=pa.schema(_TYPES))


def create_nodes(dialect: SqlDialect, name: str) -> str:
    """Return the statement that creates the table ``name`` of ``nodes_of``."""
    words: dict[pa.DataType, str] = {
        pa.int32(): "int",
        pa.string(): dialect.text,
        pa.bool_(): "boolean",
    }
    columns = ", ".join(
        f"{column} {words.get(kind, dialect.double)}" for column, kind in _TYPES.items()
    )
    return f"{dialect.temporary} {name} ({columns})"


def _rows(index: int, tree: TreeText) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for node, feature in enumerate(tree.split_feature):
        codes = left_codes(tree, node)
        rows.append(
            {
                "tree": index,
                "node": node,
                "feature": feature,
                "threshold": tree.threshold[node],
                "left_codes": None if codes is None else f"|{'|'.join(map(str, codes))}|",
                "missing_left": codes is None and missing_left(tree, node),
                "zero_is_missing": codes is None and zero_is_missing(tree, node),
                "left_child": tree.left[node],
                "right_child": tree.right[node],
            }
        )
    for leaf, value in enumerate(tree.leaf_value):
        node = -leaf - 1 if tree.split_feature else ROOT
        rows.append({"tree": index, "node": node, "leaf_value": value})
    return rows


def walked(
    model: ModelText, dialect: SqlDialect, rows: str, nodes: str, carried: tuple[str, ...]
) -> list[str]:
    """Return the common table expressions that walk all trees; the last is `summed`.

    ``rows``: the prepared rows, unique by the first column of ``carried``; ``nodes``: the table of
    ``nodes_of``. It adds up in the order that the engine likes, so the last bits of a sum may
    differ from LightGBM's.
    """
    key = carried[0]
    used = sorted({feature for tree in model.trees for feature in tree.split_feature})
    value = "".join(f" when {feature} then p.{value_name(feature)}" for feature in used)
    value = f"case n.feature{value} end" if used else f"cast(null as {dialect.double})"
    deepest = max((tree.depth for tree in model.trees), default=0)
    roots = f"{rows} as p cross join {nodes} as n where n.node = {ROOT}"
    found = [f"walk_0 as{dialect.level} (select p.{key}, n.tree, n.node from {roots})"]
    code = f"cast(cast(x as int) as {dialect.text})"
    is_left = (
        "case when left_codes is not null then"
        f" x is not null and left_codes like ('%|' || {code} || '|%')"
        " when x is null or (zero_is_missing and x = 0) then missing_left"
        " else x <= threshold end"
    )
    found += [
        f"walk_{level} as{dialect.level} (select {key}, tree, case"
        f" when leaf_value is not null then node when {is_left} then left_child"
        " else right_child end as node"
        f" from (select w.{key}, n.*, {value} as x from walk_{level - 1} as w"
        f" inner join {nodes} as n on n.tree = w.tree and n.node = w.node"
        f" inner join {rows} as p on p.{key} = w.{key}) as met)"
        for level in range(1, deepest + 1)
    ]
    columns = ", ".join(f"p.{column}" for column in carried)
    found.append(
        f"summed as (select {columns}, sum(n.leaf_value) as total from walk_{deepest} as w"
        f" inner join {nodes} as n on n.tree = w.tree and n.node = w.node"
        f" inner join {rows} as p on p.{key} = w.{key} group by {columns})"
    )
    return found
