"""PostgreSQL: rows stream as Arrow through ADBC, statements and transactions use psycopg."""
