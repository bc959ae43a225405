"""The institute's tables: each module has the steps of its tables, their rows as values, and one store."""
