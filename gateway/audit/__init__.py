"""The auditor's tool: containers, bundles, archives and whole folders verified on every core, reports, two logs side by side."""
