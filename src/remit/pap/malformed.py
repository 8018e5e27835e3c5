"""What is raised for an entry of a bundle that cannot mean anything."""


class Malformed(Exception):
    """An entry that has the right fields, but says nothing that can be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
