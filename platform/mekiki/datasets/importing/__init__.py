"""Import of files: list the files of an upload, check and decode them, store the images.

The steps are entries (list files and walk zips), pictures (decode and render) and pipeline (store, count,
report). Nothing that a user sends is trusted: types are read from the content, sizes are counted, and names
are never used as paths.
"""
