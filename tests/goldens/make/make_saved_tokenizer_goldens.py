"""Write what transformers' AutoTokenizer makes of folders whose files say more of tokens than tokenizer.json does.

python tests/goldens/make/make_saved_tokenizer_goldens.py tests/goldens
"""

import json
import lzma
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import saved_tokenizers as saved
import tokenizer_kinds as kinds
from transformers import AutoTokenizer


def main():
    """Write the golden."""
    found = {}
    for name in saved.CASES:
        with tempfile.TemporaryDirectory() as folder:
            kinds.write_files(saved.files(name), Path(folder))
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
                ids = tokenizer(saved.TEXTS)["input_ids"]
                pairs = tokenizer(saved.TEXTS[1:], saved.TEXTS[:-1])["input_ids"]
            except Exception as error:
                if name not in saved.REFUSED:
                    print(f"{name}: {type(error).__name__}: {error}"[:300])
                continue
            found[name] = {"ids": ids, "pairs": pairs}
    about = {package: version(package) for package in ("transformers", "tokenizers")}
    data = json.dumps({"about": about, "cases": found}, separators=(",", ":")).encode()
    (Path(sys.argv[1]) / saved.GOLDEN.name).write_bytes(lzma.compress(data))
    print(f"{len(found)} cases of {len(saved.CASES)}, {len(lzma.compress(data)):,} bytes")


if __name__ == "__main__":
    main()
