"""The format of a label set, and its check from the zip alone."""
