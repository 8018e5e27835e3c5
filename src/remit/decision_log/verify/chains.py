"""The chain of each writer: its entries follow one another without a gap, each naming the hash of the one before."""

from dataclasses import dataclass, field

from .entries import Entry, envelope
from .report import Findings, shown

NO_ENTRY = "0" * 64
MAX_GAP = 1000
"""So many missing entries of one gap are remembered, to tell a moved entry from a repeated one."""


@dataclass(slots=True)
class Chain:
    """What the next entry of a writer must build on: `leaf` is the hash (hex) of the entry before, which stands on `line`."""

    seq: int = 0
    leaf: str = NO_ENTRY
    time: int = 0
    line: int = 0
    gaps: set[int] = field(default_factory=set)


class Chains:
    """Follows all writers at once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.writers: dict[str, Chain] = {}

    def follow(self, line: int, entry: Entry, leaf: str) -> None:
        """Check one entry, whose leaf hash (hex) is given, against what its writer wrote before."""
        _, _, writer, seq, time, prev = envelope(entry)
        chain = self.writers.get(writer)
        if chain is None:
            chain = self.writers[writer] = Chain()
        if (seq != chain.seq or prev != chain.leaf) and not self._goes_on(line, entry, leaf, chain):
            return
        if time < chain.time:
            message = f"it says an earlier time than line {chain.line}, of the same writer"
            self._findings.add(line, "time", message)
            time = chain.time
        chain.seq, chain.leaf, chain.time, chain.line = seq + 1, leaf, time, line

    def _goes_on(self, line: int, entry: Entry, leaf: str, chain: Chain) -> bool:
        """Say what is wrong with this entry, and whether the chain goes on from it."""
        seq, name = entry["seq"], f"writer `{shown(entry['writer'])}`"
        if seq > chain.seq:
            lost = f"entry {chain.seq}" if seq == chain.seq + 1 else f"entries {chain.seq} to {seq - 1}"
            message = f"{lost} of {name} should stand before this one: dropped, unreadable or moved"
            self._findings.add(line, "missing", message)
            chain.gaps.update(range(chain.seq, min(seq, chain.seq + MAX_GAP)))
            return True
        if seq == chain.seq:
            before = (
                f"line {chain.line}, the entry before it"
                if chain.line
                else "nothing, although it is the first"
            )
            message = f"it does not build on {before} of {name}: one of them was changed or forged"
            self._findings.add(line, "changed", message)
            return True
        if leaf == chain.leaf:
            self._findings.add(line, "repeated", f"it repeats line {chain.line}")
        elif seq in chain.gaps:
            chain.gaps.discard(seq)
            self._findings.add(line, "reordered", f"entry {seq} of {name} belongs before line {chain.line}")
        else:
            self._findings.add(line, "repeated", f"{name} had an entry {seq} above: repeated or forged")
        return False
