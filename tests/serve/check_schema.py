"""Schemathesis against the OpenAPI document of a real server, all checks on: `make test-serve`.

pytest does not collect this file by itself.  REQUESTS says how many are generated, at least.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REQUESTS = int(os.environ.get("REQUESTS", "5000"))
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
FEW = REQUESTS // 10  # with a key: what it changes is the same for every route
ROUTES = 12  # that take a body, about: the others have one request


def run(url, folder, requests, *more):
    """All checks, in every phase."""
    each = str(max(1, requests // ROUTES))
    command = [SCHEMATHESIS, "run", f"{url}/openapi.json", "--url", url, "--checks", "all", "--mode", "all"]
    command += ["--max-examples", each, "--continue-on-failure", "--seed", "1", "--workers", "1", "--no-color"]
    command += ["--suppress-health-check", "all"]
    return subprocess.run([*command, *more], capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("keyed", [False, True])
def test_the_document_is_true(server_of, keyed, tmp_path):
    (tmp_path / "keys").write_text("a-key\n")
    options = ["--accept-token-ids", "--max-queue-requests", "100000"]
    headers = []
    if keyed:
        options += ["--api-key-file", str(tmp_path / "keys")]
        headers = ["--header", "Authorization: Bearer a-key"]
    with server_of(*options) as server:
        found = run(server.url, tmp_path, FEW if keyed else REQUESTS, *headers)
        assert found.returncode == 0, found.stdout[-20000:]
        cases = re.search(r"([\d,]+) generated", found.stdout)
        print(found.stdout[-1000:])
        assert cases and int(cases[1].replace(",", "")) >= (FEW if keyed else REQUESTS)
        assert "failed" not in server.log()
