"""What coordinator and sites keep, so that a run outlives its processes."""
