"""Differential privacy as a training recipe of its own: bins, base rate and one-feature trees.

Noise on ordinary trees ruins them, for every level of every tree asks about all features at once.
Here a tree has one feature, first each in turn, then those whose noisy sums promised most: a round
releases gradient and hessian sums of one feature's bins, which a row moves by at most 1 in
Euclidean norm, and every bin is a leaf.
"""
