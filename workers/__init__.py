"""Computing parts of the platform. A Celery worker starts with this package."""
