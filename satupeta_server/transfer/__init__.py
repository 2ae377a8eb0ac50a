"""Bulk work: reading and writing files of records, and bringing them into the database."""
