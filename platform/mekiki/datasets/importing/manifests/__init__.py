"""Manifests: files that list images with their metadata and labels. One module reads one format.

All readers yield the rows of `rows`. `choosing` selects the reader by the content of a file.
"""
