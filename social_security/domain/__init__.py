"""The rules of social security: values and tables, no input or output."""
