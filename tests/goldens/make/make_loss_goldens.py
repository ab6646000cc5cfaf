"""Write the goldens of the losses: sentence-transformers' values and torch's gradients, in float64.

python tests/goldens/make/make_loss_goldens.py tests/goldens/losses.npz
"""

import json
import sys
from importlib.metadata import version

import numpy as np
import torch
from loss_cases import CASES, columns_of, labels_of
from sentence_transformers import util
from sentence_transformers.sentence_transformer import losses

DIMS = [6, 3, 2]
METRICS = {"TripletLoss": losses.TripletDistanceMetric}


def function_of(kind, name, value):
    """What an option stands for there: distances and similarities are functions."""
    if name == "similarity_fct":
        return getattr(util, value)
    if name == "distance_metric":
        return getattr(METRICS.get(kind, losses.SiameseDistanceMetric), value)
    return value


def main() -> None:
    """Compute every loss, plain and as Matryoshka's sum."""
    arrays: dict[str, object] = {}
    for name, (_, _, kind, options, _) in CASES.items():
        options = {option: function_of(kind, option, value) for option, value in options.items()}
        loss = getattr(losses, kind)(torch.nn.Identity(), **options)
        labels = torch.tensor(labels_of(name))
        for style in ("plain", "matryoshka"):
            columns = [torch.tensor(x, requires_grad=True) for x in columns_of(name)]
            if style == "plain":
                value = loss.compute_loss_from_embeddings(columns, labels)
            else:
                parts = [[torch.nn.functional.normalize(c[:, :d], dim=-1) for c in columns] for d in DIMS]
                value = sum(loss.compute_loss_from_embeddings(part, labels) for part in parts)
            value.backward()
            arrays[f"{name}/{style}/value"] = value.detach().numpy()
            arrays[f"{name}/{style}/gradients"] = np.stack([c.grad.numpy() for c in columns])
    about = {p: version(p) for p in ("torch", "sentence-transformers", "numpy")}
    np.savez_compressed(sys.argv[1], about=np.array(json.dumps(about)), **arrays)


if __name__ == "__main__":
    main()
