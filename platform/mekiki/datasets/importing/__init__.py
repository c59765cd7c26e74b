"""Bringing files in: what is in the upload, is it an image, what is kept of it.

entries (what there is) → pictures (is it an image; its derivatives) → pipeline (store, count, report).
Nothing a user sends is trusted: types by content, sizes by counting, names never used as paths.
"""
