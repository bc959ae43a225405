"""Commands of officers and exercises."""
