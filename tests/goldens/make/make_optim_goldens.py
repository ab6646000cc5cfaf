"""Write the goldens of the optimiser: ten steps of torch's AdamW, and transformers' schedules.

python tests/goldens/make/make_optim_goldens.py tests/goldens/optim.npz
"""

import json
import sys
from importlib.metadata import version

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup


def main() -> None:
    """Take ten steps with and without decay, clipped, under both schedules."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal((4, 3)), rng.standard_normal((10, 4, 3))
    gradients[3] = 0
    arrays: dict[str, object] = {"start": start, "gradients": gradients}
    for decay in (0.0, 0.1):
        p = torch.tensor(start, requires_grad=True)
        optimizer, norms, found = torch.optim.AdamW([p], lr=1e-2, weight_decay=decay), [], []
        schedule = get_linear_schedule_with_warmup(optimizer, 3, 10)
        for g in gradients:
            p.grad = torch.tensor(g)
            norms.append(float(torch.nn.utils.clip_grad_norm_([p], 2.0)))
            optimizer.step()
            schedule.step()
            found.append(p.detach().numpy().copy())
        arrays |= {f"steps/{decay}": np.stack(found), "norms": np.array(norms)}
    for name, make in (("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer, 3, 10)
        arrays[name] = np.array([schedule.lr_lambdas[0](step) for step in range(12)])
    about = {p: version(p) for p in ("torch", "transformers", "numpy")}
    np.savez_compressed(sys.argv[1], about=np.array(json.dumps(about)), **arrays)


if __name__ == "__main__":
    main()
