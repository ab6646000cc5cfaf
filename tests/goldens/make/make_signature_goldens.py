"""Write what can be called of sentence-transformers, with all parameters: make_signature_goldens.py FILE."""

import json
import lzma
import sys
import warnings
from pathlib import Path

import sentence_transformers
from signature_walk import MODULES, described, module_of, names_of

PACKAGE = "sentence_transformers"


def main():
    warnings.simplefilter("ignore")
    found = {}
    for path in MODULES:
        module = module_of(PACKAGE, path)
        found[path] = {name: described(getattr(module, name), PACKAGE, path) for name in names_of(PACKAGE, path)}
    golden = {"version": sentence_transformers.__version__, "modules": found}
    Path(sys.argv[1]).parent.mkdir(exist_ok=True)
    Path(sys.argv[1]).write_bytes(lzma.compress(json.dumps(golden, sort_keys=True).encode()))


if __name__ == "__main__":
    main()
