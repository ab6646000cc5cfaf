"""`readers` of the reference: InputExample; the readers of files are refused by name."""

from typing import Any

from minembed.sentence_transformers.refusals import refused

__all__ = [
    "InputExample",
    "LabelSentenceReader",
    "NLIDataReader",
    "PairedFilesReader",
    "STSBenchmarkDataReader",
    "STSDataReader",
    "TripletReader",
]

INSTEAD = "minembed.train.Examples reads examples from tables; see docs/training.md"


class InputExample:
    """One example: its texts, and a label.

    >>> print(InputExample(texts=["a", "b"], label=1))
    <InputExample> label: 1, texts: a; b
    """

    def __init__(self, guid: str = "", texts: list[str] | None = None, label: int | float = 0) -> None:
        self.guid, self.texts, self.label = guid, texts, label

    def __str__(self) -> str:
        return f"<InputExample> label: {self.label}, texts: {'; '.join(self.texts or [])}"


LabelSentenceReader: Any = refused("LabelSentenceReader", INSTEAD)
NLIDataReader: Any = refused("NLIDataReader", INSTEAD)
PairedFilesReader: Any = refused("PairedFilesReader", INSTEAD)
STSBenchmarkDataReader: Any = refused("STSBenchmarkDataReader", INSTEAD)
STSDataReader: Any = refused("STSDataReader", INSTEAD)
TripletReader: Any = refused("TripletReader", INSTEAD)
