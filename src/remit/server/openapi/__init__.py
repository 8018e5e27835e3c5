"""The whole server, described by OpenAPI 3.1 from the table that its routes are made of."""
