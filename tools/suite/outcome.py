"""How many test cases passed, and one line for each that failed."""

import dataclasses


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.failures)

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.passed + other.passed, self.failures + other.failures)
