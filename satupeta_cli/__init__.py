"""The ``satupeta`` command line: the same models, services and permissions as the API."""
