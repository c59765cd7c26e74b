"""Everything that computes: a Celery worker is started on this package."""
