"""The one table of what this server answers: its routes and its description are both made of it."""

from remit.server.openapi.operation import Operation
from remit.server.routes.deciding import DECIDING
from remit.server.routes.enforcing import ENFORCING
from remit.server.routes.managing import MANAGING

OPERATIONS: tuple[Operation, ...] = (*DECIDING, *ENFORCING, *MANAGING)
"""Of paths that fit one request, the first counts."""
