"""Backups: the database, the files and the keys of a home in one file, and the way back.

making.py writes the file while the platform runs or is stopped; restoring.py fills an empty home from it; archive.py
is the format; database.py runs pg_dump and pg_restore.
"""
