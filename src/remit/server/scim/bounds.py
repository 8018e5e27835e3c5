"""How much work one request may be: counted before it is done, refused where it is too much."""

from remit.server.scim.errors import ScimError

MAX_WORK = 200_000
"""So many values may one request look at, each time that each term of a filter does: about a second's."""
CLEANING = 5
"""To make a value as it is kept, or a resource of what is stored, takes as long as so many terms of a filter."""
AT_ONCE = 20
"""Of so many values can be told, while one term is asked of one, whether they are among the names of those that are looked for."""


class Work:
    """What is left of it for one request; `refusal` says what to do instead."""

    def __init__(self, refusal: ScimError) -> None:
        self._left, self._refusal = MAX_WORK, refusal

    def spend(self, units: int) -> None:
        """Raises the refusal where more is asked for than is left."""
        self._left -= units
        if self._left < 0:
            raise self._refusal
