"""The README.md of a saved folder: a model card as the Hub shows it."""

import json
import re

from minembed.weights.checkpoint import Checkpoint
from minembed.weights.static import MODEL2VEC, MODULE, UNLIMITED


def model_card(checkpoint: Checkpoint, name: str, notes: str = "") -> str:
    """The README.md of a saved folder; the licence is copied from that of the checkpoint.

    >>> from pathlib import Path
    >>> from minembed.transformer.config import Config
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> model_card(Checkpoint(Path("model"), "bert", config, ("mean",), 256), "mine").splitlines()[1]
    'library_name: sentence-transformers'
    """
    licence = ""
    if (checkpoint.root / "README.md").is_file():
        with (checkpoint.root / "README.md").open(encoding="utf-8", errors="replace") as file:
            card = file.read(65536)
        found = re.search(r"\A---\n(?:.*\n)*?license: *([\w.-]+) *\n(?:.*\n)*?---", card)
        licence = f"license: {found[1]}\n" if found else ""
    begin = [MODULE] if checkpoint.is_static else ["Transformer", f"Pooling({', '.join(checkpoint.pooling)})"]
    steps = " -> ".join([*begin, *map(str, checkpoint.modules)])
    endless = checkpoint.is_static and checkpoint.max_seq_length == UNLIMITED
    prompts = "".join(f"- `{key}`: {json.dumps(text)}\n" for key, text in checkpoint.prompts.items() if text)
    return CARD.format(
        licence=licence,
        name=name,
        width=checkpoint.dimension,
        length="any length" if endless else f"up to {checkpoint.max_seq_length} tokens",
        library=LIBRARY[checkpoint.family == MODEL2VEC].format(name=name),
        steps=steps,
        similarity=checkpoint.similarity_fn_name,
        prompts=f"\nPrompts, by name (`prompt_name=`):\n\n{prompts}" if prompts else "",
        notes=notes and f"\n{notes.strip()}\n",
    )


SENTENCE_TRANSFORMERS = """With sentence-transformers (`pip install sentence-transformers`):

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}")
vectors = model.encode(["A cat sits on the mat.", "A feline rests on a rug."])
print(model.similarity(vectors, vectors))
```
"""
OF_MODEL2VEC = """With model2vec (`pip install model2vec`):

```python
from model2vec import StaticModel

model = StaticModel.from_pretrained("{name}")
vectors = model.encode(["A cat sits on the mat.", "A feline rests on a rug."])
```
"""
LIBRARY = (SENTENCE_TRANSFORMERS, OF_MODEL2VEC)
CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
{licence}tags:
- sentence-transformers
- feature-extraction
- sentence-similarity
- minembed
---

# {name}

Turns a text of {length} into a vector of {width} numbers; vectors are compared by {similarity}.

    {steps}
{prompts}
{library}
With minembed, on a CPU and without torch (`pip install minembed`):

```python
from minembed import Embedder

model = Embedder.load("{name}")
vectors = model.encode(["A cat sits on the mat.", "A feline rests on a rug."])
print(model.similarity(vectors, vectors))
```
{notes}"""
