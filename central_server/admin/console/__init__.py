"""The operators' pages of a central server: rows of the admin API, shown as pages and led to as forms."""
