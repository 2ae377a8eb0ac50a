"""The backend of Portal Satu Peta: a Tornado API over PostgreSQL and an S3 object store."""

__version__ = "0.1.0"
