"""Trees: grown from summed histograms alone, and repeated over the rows of one place."""
