"""An institute's own data out of CSV, in bulk: layouts, quality report, persons at the registry, rows at the institute."""
