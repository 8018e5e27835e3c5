"""The program that `start` runs: the two lines that guard an agent, timed from before `import remit` until the tool runs."""

import time

BEGUN = time.perf_counter()

import remit  # noqa: E402 - what importing costs is measured


@remit.guard
def look(what: str) -> float:
    """Runs only once its permit is durable."""
    return (time.perf_counter() - BEGUN) * 1000


def main() -> None:
    """Print the milliseconds and the most memory held, as JSON."""
    with remit.task("look something up", agent="bot"):
        spent = look("something")
    from benchmarks.workplace import peak_memory

    print(f'{{"ms": {spent}, "megabytes": {peak_memory()}}}')


if __name__ == "__main__":
    main()
