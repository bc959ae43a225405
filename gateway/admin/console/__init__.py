"""The operators' pages of a gateway: rows of the admin API, shown as pages and led to as forms."""
