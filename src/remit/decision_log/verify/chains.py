"""The chain of each writer: its entries follow one another without a gap, each naming the hash of the one before."""

from dataclasses import dataclass

from .entries import Envelope
from .report import Findings, shown

NO_ENTRY = "0" * 64
MAX_LOST = 10_000
"""So many missing entries are remembered, to tell an entry that was moved from one that was repeated."""


@dataclass(slots=True)
class Chain:
    """What the next entry of a writer must build on: `leaf` is the hash (hex) of the entry before, which stands on `line`."""

    first_time: int
    seq: int = 0
    leaf: str = NO_ENTRY
    time: int = 0
    line: int = 0


class Chains:
    """Follows all writers at once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._lost: set[tuple[str, int]] = set()
        self.writers: dict[str, Chain] = {}

    def follow(self, line: int, envelope: Envelope, leaf: str) -> None:
        """Check one entry, whose leaf hash (hex) is given, against what its writer wrote before."""
        _, _, writer, seq, time, prev = envelope
        chain = self.writers.get(writer)
        if chain is None:
            chain = self.writers[writer] = Chain(first_time=time)
        if (seq != chain.seq or prev != chain.leaf) and not self._goes_on(line, writer, seq, leaf, chain):
            return
        if time < chain.time:
            message = f"it says an earlier time than line {chain.line}, of the same writer"
            self._findings.add(line, "time", message)
            time = chain.time
        chain.seq, chain.leaf, chain.time, chain.line = seq + 1, leaf, time, line

    def _goes_on(self, line: int, writer: str, seq: int, leaf: str, chain: Chain) -> bool:
        """Say what is wrong with this entry, and whether the chain goes on from it."""
        name = f"writer `{shown(writer)}`"
        if seq > chain.seq:
            lost = f"entry {chain.seq}" if seq == chain.seq + 1 else f"entries {chain.seq} to {seq - 1}"
            message = f"{lost} of {name} should stand before this one: dropped, unreadable or moved"
            self._findings.add(line, "missing", message)
            remembered = min(seq, chain.seq + MAX_LOST - len(self._lost))
            self._lost.update((writer, number) for number in range(chain.seq, remembered))
            return True
        if seq == chain.seq:
            before = f"line {chain.line}" if chain.line else "nothing"
            message = f"entry {seq} of {name} must build on {before}: one of them was changed or forged"
            self._findings.add(line, "changed", message)
            return True
        if leaf == chain.leaf:
            self._findings.add(line, "repeated", f"it repeats line {chain.line}")
        elif (writer, seq) in self._lost:
            self._lost.remove((writer, seq))
            self._findings.add(line, "reordered", f"entry {seq} of {name} belongs before line {chain.line}")
        else:
            self._findings.add(line, "repeated", f"{name} had an entry {seq} above: repeated or forged")
        return False
