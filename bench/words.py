"""The report's standing text."""

TITLES = {"encode": "Throughput", "coldstart": "Cold start", "stream": "Memory while streaming"}
BUSY = "**The machine was in use by others while this was measured: do not rely on it, measure again.**"
HEAD = """# minembed beside its peers

Written by `python bench report` from `bench/results/*.json`; `make bench` measures anew. A **ratio** is minembed's
throughput over the peer's in the same run: above 1, minembed is faster; below 1, the peer is."""
METHOD = """### How it was measured

- Texts go in and vectors come out: tokenising, sorting, padding, pooling and normalising are in everybody's time.
- Every contestant has a process of its own and {threads} threads. They take turns, {laps} laps, with {settle_s} s of
  rest before each; who begins moves on by one each round. A time is the median of the laps; a ratio is one of medians.
- Before anything is timed, each contestant embeds the whole workload, and its vectors are compared with those of the
  contestant named above the table; one that is off by more than 2e-6 in any component is refused and gets no number.
  This is also the warm-up.
- ONNX Runtime runs the float32 graph with everything fused (its optimizer's own count is checked: every attention,
  GELU and residual-norm block, or the graph is refused), on batches of texts of like **token** count, of 32 and of 64;
  the better (bold) is the peer. *Arrival order* is the same with batches of 32 as the texts come, as in a program that
  does not sort: it pays for padding. sentence-transformers runs its own `encode` at its default batch of 32.
- minembed runs `Embedder.encode` with its defaults. It never pads.
- Tokens are real tokens, not padding. *Peak* is the largest resident size of the process during the workload.
- *Tokenising alone* is the part of everybody's time that is spent before the first multiplication."""
COLD = """The clock starts before the process does and stops when the first vector is there. Contestants take turns,
each time in a new process, after one round that only fills the system's file cache and checks the vectors. ONNX Runtime
is given its fused graph, `tokenizers` and NumPy and nothing else. Each part is a median of its own, so that parts need
not sum to the whole."""
