"""Backup and restore of a home: database, files and keys in one file.

making.py writes the file, while the platform runs or is stopped. restoring.py fills an empty home from it.
archive.py defines the format. database.py runs pg_dump and pg_restore.
"""
