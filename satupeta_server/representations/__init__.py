"""What each resource looks like as JSON, as expressions that PostgreSQL evaluates."""
