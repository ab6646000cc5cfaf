"""Write what sentence-transformers' evaluators give on models made of checksums: make_evaluator_goldens.py FILE."""

import json
import lzma
import sys
import tempfile
import warnings
from pathlib import Path

from evaluator_cases import cases, evaluated
from sentence_transformers import quantize_embeddings, util
from sentence_transformers.cross_encoder import evaluation as cross_encoders
from sentence_transformers.sentence_transformer import evaluation


def main():
    warnings.simplefilter("ignore")
    found = {}
    for name, (evaluator, model) in cases(evaluation, cross_encoders, util, quantize_embeddings).items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = evaluated(evaluator, model, folder)
    Path(sys.argv[1]).write_bytes(lzma.compress(json.dumps(found).encode()))


if __name__ == "__main__":
    main()
