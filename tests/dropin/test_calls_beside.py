"""The same calls in sentence-transformers and here, in one process: `make test-sentence-transformers`."""

import published_calls
import pytest
from published_calls.models import Models
from published_calls.running import OURS, REFERENCE, Runner, differences, is_there, record

from minembed.weights.sources.locate import locate

if not is_there(REFERENCE):
    pytest.skip("sentence-transformers is not installed", allow_module_level=True)
pytestmark = pytest.mark.weights
COMPUTED = [call for call in published_calls.CALLS if not call.is_refused and all(map(is_there, call.needs))]


@pytest.fixture(scope="module")
def runners(tmp_path_factory):
    """One of each package; both read the same folders."""
    folders = [tmp_path_factory.mktemp(name) for name in ("models", "theirs", "ours")]
    models = Models(folders[0], str(locate("all-MiniLM-L6-v2").folder))
    return [Runner(package, models, folder) for package, folder in zip((REFERENCE, OURS), folders[1:], strict=True)]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("call", COMPUTED, ids=lambda call: call.name)
def test_both_give_the_same(call, runners):
    theirs, ours = (record(runner.run(call)) for runner in runners)
    assert not differences(call, theirs, ours)
