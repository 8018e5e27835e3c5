"""SCIM 2.0 (RFC 7643, RFC 7644): identity providers say here who is who. It describes itself (`/scim/v2/Schemas`)."""
