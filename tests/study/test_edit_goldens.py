"""1,020 random edits of six families: torch's hooks (tests/goldens/make/make_edit_goldens.py) give the same."""

import edit_cases
import golden_families as goldens
import numpy as np
import pytest
from edit_cases import TEXTS, Sizes
from examples import thinned
from places import GOLDENS_FOLDER

from minembed import Embedder
from minembed.study import edit, patch, replace_by, scale, trace, zero

CLOSE = 1e-5  # float32 on both sides, of means of hidden states of up to 4; the farthest is 3.5e-6 away


def change_of(case, traces):
    """The edit in our own words."""
    if case.kind == "scale":
        return scale(case.value, **case.where)
    if case.kind == "replace":
        return replace_by(case.value, **case.where)
    if case.kind == "patch":
        return patch(traces[case.other], **case.where, from_token=case.from_token)
    return zero(**case.where)


@pytest.mark.parametrize("family", thinned(edit_cases.FAMILIES, 3))
def test_edits_are_those_of_torch_hooks(tmp_path, family):
    golden = goldens.read(family)
    model = Embedder.load(goldens.write_checkpoint(golden, tmp_path / "m"), backend="numpy")
    traces = trace(model, TEXTS)
    tokens = model.tokenize(TEXTS)
    drawn = edit_cases.cases(family, Sizes.of(goldens.config_of(golden)), tokens.lengths().tolist())
    with np.load(GOLDENS_FOLDER / "edits.npz") as file:
        expected = file[family]
    assert len(expected) == len(drawn) == edit_cases.EACH
    found = []
    for case in drawn:
        edited = edit(model, {case.name: change_of(case, traces)})
        found.append(edited.forward(tokens.select([case.text])).mean(axis=0, dtype=np.float64))
    off = np.abs(np.stack(found) - expected).max(axis=1)
    assert off.max() <= CLOSE, (off.max(), drawn[int(off.argmax())])
