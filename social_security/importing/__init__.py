"""An institute's own data out of CSV, in bulk: layouts, mapping of other systems, quality report, rows."""
