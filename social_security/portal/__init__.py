"""A member's pages: the citizen's at an institute, the guarantor's at a guarantor. Holds no person's data, it asks."""
