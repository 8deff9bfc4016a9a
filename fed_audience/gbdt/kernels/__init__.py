"""What is compiled: histograms, the rows of a node, the search of a split, a team of threads."""
