"""The account of a run: what was done, in an order and a wording that nobody can change later.

Entries (`entries`) are the leaves of a Merkle tree (`merkle`); the coordinator signs each one with
the tree it makes, and every site counter-signs checkpoints of the tree (`notes`, `witness`). `log`
writes, `verification` reads without trust, `export` retells.
"""
