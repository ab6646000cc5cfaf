"""infinity-emb with its ONNX engine beside a newer torch than its optimum knows: python infinity_onnx.py v2 ...

optimum 1 imports parts of torch's old ONNX exporter, which torch 2.13 no longer has.  Nothing is exported here, since
the graph exists already, so it is enough that the names do.
"""

import sys
from unittest.mock import MagicMock

from torch.onnx import symbolic_opset14

NAMES = ("_attention_scale", "_causal_attention_mask", "_onnx_symbolic", "_type_utils", "jit_utils", "symbolic_helper")

for name in NAMES:
    if not hasattr(symbolic_opset14, name):
        setattr(symbolic_opset14, name, MagicMock())

if __name__ == "__main__":
    from infinity_emb.cli import cli

    sys.exit(cli())
