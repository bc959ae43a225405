"""Domain packs: data only; no module outside may name one."""
