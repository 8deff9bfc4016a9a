"""The brand's own warehouse: connections, dbt, control tables, Arrow in and out."""
