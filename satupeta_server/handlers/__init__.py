"""The API's handlers: parse, validate, call a service, write."""
