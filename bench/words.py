"""The report's standing text."""

HEAD = """# minembed beside its peers

Written by `python bench report` from `bench/results/*/*.json`; `make bench` measures anew. A **ratio** is the
throughput of minembed in the same precision over the contestant's, in the same run: above 1, minembed is faster; below
1, the contestant is. Results of several generations of processors are kept, each in a folder of its own; each section
is of the machine measured last, which it names."""
ABOUT = {
    "short": "Sentences.",
    "mixed": "Texts of very different lengths.",
    "long": "Texts that fill the model.",
    "arrival": "The mixed texts again; peers do not sort: they take them in batches of 32 as they come.",
    "single": "One text a call; the time is that of the median call.",
}
METHOD = """### How it was measured

- Texts go in and vectors come out: tokenising, sorting, padding, pooling and normalising are in everybody's time.
- Every contestant has a process of its own and {threads} threads. They take turns, {laps} laps, with {settle_s} s of
  rest before each; who begins moves on by one each round. A time is the median of the laps; a ratio is one of medians.
- Peers that take padded rectangles tokenise once and sort by **token** count. Before each race they try their settings
  on a third of the texts (a warm-up, then the best of {heats} timed laps): one batch at a time on all threads, or one
  on each thread; for OpenVINO lengths left open, or a model compiled for each shape (lengths rounded up to steps of
  about an eighth; all compiled before the clock starts); for ONNX Runtime's int8 the graph as exported and the fused
  one; for single texts all threads or one. With the best of these, batches of 32, 64, 16 and 8; then, for OpenVINO's
  int8, float32 and bfloat16 where it is not quantised. The fastest setting races, and is the one named in the table. Of
  the peers of a precision the fastest (bold) is the one that counts. What was tried is listed below: results from
  before 2026-11-29 know no fixed shapes and no batches below 32, and their heats are of all texts.
- *p25* is the lap that a quarter of the laps are quicker than: on a machine that others disturb now and then, low
  quantiles say what the work takes, medians what one gets.
- Before anything is timed, each contestant embeds the whole workload, and its vectors are compared with those of the
  contestant named above the table. In float32 one that is off by more than 2e-6 in any component is refused and gets no
  number; in bfloat16 and int8 one whose mean cosine is below 0.98. This is also the warm-up.
- ONNX Runtime's float32 graph has everything fused (its optimizer's own count is checked: every attention, GELU and
  residual-norm block, or the graph is refused). Its int8 is dynamic, per channel. OpenVINO converts the graph as
  exported; its int8 is NNCF's for transformers, calibrated on 300 texts of 8 to 150 words. CTranslate2 converts the
  checkpoint. sentence-transformers runs its own `encode` at its default batch of 32.
- minembed runs `Embedder.encode` with its defaults, int8 from a folder that `minembed quantize` wrote. It never pads.
- Tokens are real tokens, not padding. *Peak* is the largest resident size of the process during the workload. *STS-B*
  is Spearman's correlation, times 100, of cosines with people's judgements of the pairs that the short texts come from.
- *Tokenising alone* is the part of everybody's time that is spent before the first multiplication."""
KERNELS = """The peak is the register tile's best rate on data that stays in the first-level cache. Below it, the four
products of a layer, each going round six different weights; *share* is the rate of all four together over the peak,
alone and with turning the input into bfloat16 or bytes. 37 rows do not divide into whole tiles. One core."""
GROWTH = """Each text has exactly so many tokens (the model is loaded with `max_seq_length=512`, beyond its default of
256); medians of 3 laps, tokenising included."""
COLD = """The clock starts before the process does and stops when the first vector is there. Contestants take turns,
each time in a new process, after one round that only fills the system's file cache and checks the vectors; it also
leaves minembed's compiled kernels on disk, and OpenVINO's compiled model. Every peer is given its converted model,
`tokenizers` and NumPy and nothing else. Each part is a median of its own, so that parts need not sum to the whole."""
WIDE = """Encoders of BERT-base's shape (12 layers, 768 wide, 12 heads) and of BERT-large's (24, 1,024, 16), with
random weights that keep activations near 1 (never zeros: matrix units are faster on those); texts of exactly so many
tokens, so that nobody pads. Ratios are over the best peer of the same precision, int8's over the best in bfloat16:
quantising these for the peers takes too long. Cosines are to float32 vectors of a peer. The share of the peak counts
linear layers alone."""
