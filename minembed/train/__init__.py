"""Training in NumPy: the backward pass, losses, the optimiser and the loop.

    from minembed.train import Examples, Settings, Trainee, train_contrastive

    trainee = Trainee.load("all-MiniLM-L6-v2")
    train_contrastive(trainee, Examples((questions, answers)), Settings(epochs=1), Path("run"))

`backward/` is the backward pass; `losses`, `masked_lm_loss` and `optim` are the losses and the optimiser; `step`
computes one step, `trainer` is the loop, `contrastive` and `masked_lm` are the two kinds of training.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minembed.data.examples import Examples
    from minembed.train.contrastive import train_contrastive
    from minembed.train.masked_lm import train_masked_lm
    from minembed.train.model import Trainee
    from minembed.train.scratch import new_model
    from minembed.train.settings import Settings

__all__ = ["Examples", "Settings", "Trainee", "new_model", "train_contrastive", "train_masked_lm"]

_LATE = {
    "Examples": "minembed.data.examples",
    "Settings": "minembed.train.settings",
    "Trainee": "minembed.train.model",
    "new_model": "minembed.train.scratch",
    "train_contrastive": "minembed.train.contrastive",
    "train_masked_lm": "minembed.train.masked_lm",
}


def __getattr__(name: str) -> Any:  # late (PEP 562): importing one part does not load the others
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'minembed.train' has no attribute {name!r}")
