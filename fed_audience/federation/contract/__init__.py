"""What sites sign before they take part, and how they join."""
