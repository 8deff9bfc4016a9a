"""What warehouses cost: dbt's build, reading rows into codes, scoring at home."""
