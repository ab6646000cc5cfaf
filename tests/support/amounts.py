"""How much a heavy test tries: the usual amount of `make fuzz`, or a share of that of `make proof`."""

import os
from dataclasses import dataclass

COUNT, SEED = "MINEMBED_PROOF_COUNT", "MINEMBED_PROOF_SEED"


@dataclass
class Amount:
    """How much one test should try, and how much it tried."""

    count: int | None = None  # of what the row counts; None: what is usual
    piece: int = 1  # the seed of this piece of the row
    done: int = 0

    @classmethod
    def asked(cls, sharers: int) -> "Amount":
        """The amount in the environment, divided by the number of tests."""
        if COUNT not in os.environ:
            return cls()
        return cls(-(-int(os.environ[COUNT]) // sharers), int(os.environ[SEED]))

    def rounds(self, usual: int, each: int = 1) -> int:
        """How many rounds, each of which tries `each` of what the row counts.

        >>> Amount().rounds(20, each=2000), Amount(count=5000).rounds(20, each=2000)
        (20, 3)
        """
        found = usual if self.count is None else -(-self.count // each)
        self.did(found * each)
        return found

    def did(self, number: int) -> None:
        """Count the tries, if their number is known only afterwards."""
        self.done += number

    def seed(self, usual: int) -> int:
        """A seed: another in each piece, and in each test."""
        return usual if self.count is None else 10_000 * self.piece + usual

    def seeds(self, usual: range) -> range:
        """A number of seeds of cases; the first piece begins at 0."""
        if self.count is None:
            self.did(len(usual))
            return usual
        first = (self.piece - 1) * 1_000_000
        return range(first, first + self.rounds(0))
