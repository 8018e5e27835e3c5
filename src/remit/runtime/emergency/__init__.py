"""Emergency access by break-glass: what two people open for minutes of what policy denies, and how people see it."""
