"""The standing text of the report."""

HEAD = """# minembed beside its peers

Written by `python bench report` from `bench/results/*/*.json`; `make bench` measures again. A **ratio** is
minembed's throughput divided by the contestant's, in the same precision and the same run: above 1, minembed is
faster; below 1, the contestant is. The results of each CPU generation are kept in their own folder. Each section
shows the machine that was measured last, and names it."""
ABOUT = {
    "short": "Sentences.",
    "mixed": "Texts of very different lengths.",
    "long": "Texts that fill the model's maximum length.",
    "arrival": "The mixed texts again, but peers do not sort them: they take batches of 32 in the given order.",
    "single": "One text per call; the time is that of the median call.",
}
METHOD = """### How it was measured

- Texts go in and vectors come out: the times include tokenising, sorting, padding, pooling and normalising.
- Every contestant has its own process and {threads} threads. They take turns for {laps} laps, with {settle_s} s of
  rest before each; the first contestant changes from round to round. A time is the median of the laps; a ratio is a
  ratio of medians.
- Peers that need padded batches tokenise once and sort by **token** count. Before each race, each peer tries its
  settings on a third of the texts (a warm-up, then the best of {heats} timed laps). It tries one batch at a time on
  all threads, and one batch per thread. OpenVINO also tries open lengths, and a model compiled for each shape
  (lengths rounded up to steps of about an eighth; everything is compiled before the clock starts). ONNX Runtime's
  int8 also tries the graph as exported and the fused one. Single texts are tried with all threads and with one.
  With the best of these, batches of 32, 64, 16 and 8 are tried; then, for OpenVINO's int8, float32 and bfloat16 for
  the parts that are not quantised. The fastest setting races, and the table names it. In each precision only the
  fastest peer (bold) counts. All settings tried are listed below. Results from before 2026-11-29 did not try fixed
  shapes or batches below 32, and their trials used all texts.
- *p25* is the 25th percentile of the laps. On a machine with other users, a low percentile shows how long the work
  itself takes, and the median what one gets.
- Before anything is timed, each contestant embeds the whole workload, and its vectors are compared with those of
  the contestant named above the table. In float32, a contestant whose vectors differ by more than 2e-6 in any
  component is refused and gets no number; in bfloat16 and int8, one whose mean cosine is below 0.98. This is also
  the warm-up.
- ONNX Runtime's float32 graph is fully fused. (Its optimizer's counts are checked: unless every attention, GELU and
  residual-norm block is fused, the graph is refused.) Its int8 is dynamic, per channel. OpenVINO converts the graph
  as exported; its int8 is NNCF's for transformers, calibrated on 300 texts of 8 to 150 words. CTranslate2 converts
  the checkpoint. sentence-transformers runs its own `encode` with its default batch of 32.
- minembed runs `Embedder.encode` with its defaults; int8 comes from a folder made by `minembed quantize`. It never
  pads.
- Tokens are real tokens, not padding. *Peak* is the largest resident memory of the process during the workload.
  *STS-B* is Spearman's correlation, times 100, of the cosines with people's scores of the pairs that the short
  texts come from.
- *Tokenising alone* is the part of each time that is spent before the first multiplication."""
KERNELS = """The peak is the best rate of the register tile on data in the first-level cache. Below it are the four
matrix products of a layer, each with six different weights in turn. *Share* is the rate of all four together
divided by the peak, without and with converting the input to bfloat16 or bytes. 37 rows do not divide into whole
tiles. One core."""
GROWTH = """Each text has exactly the given number of tokens (the model is loaded with `max_seq_length=512`, beyond
its default of 256). Medians of 3 laps, including tokenising."""
COLD = """The clock starts before the process does, and stops when the first vector is computed. Contestants take
turns, each time in a new process. A first round, which is not timed, fills the system's file cache and checks the
vectors; it also leaves minembed's compiled kernels and OpenVINO's compiled model on disk. Every peer gets its
converted model, `tokenizers` and NumPy, and nothing else. Each part is a separate median, so the parts need not add
up to the total."""
START = """Parts by themselves, on an idle Emerald Rapids (ms, medians of nine, NumPy's import left out). int8:
minembed's 105 modules 97, the tokenizer 33, checking and opening libraries 6, weights 72, the self-test 10, the first
text 2; ONNX Runtime: its module 34, the tokenizer 43, the session 53, the first text 3. float32: modules 88, the
tokenizer 31, libraries 6, weights 106, the self-test 14, the first text 3; ONNX Runtime: 35, 44, 178 and 5. So ONNX
Runtime saves 53 to 63 ms with its import. With weights it saves 35 in int8, which are laid out here for the CPU's
vectors or tiles at every start, and loses 53 in float32. Tried before: modules that few need are imported when they are
needed, weights are read by two threads into large pages and copied once, the self-test runs with one thread of BLAS.
Not tried: storing int8 weights as they are laid out for one kind of CPU; such a folder would fit no other."""
WIDE = """Encoders with the shape of BERT-base (12 layers, width 768, 12 heads) and BERT-large (24 layers, width
1,024, 16 heads). The weights are random and keep activations near 1 (zeros would not do: matrix units are faster on
them). All texts have exactly the given number of tokens, so nobody pads. Ratios are over the best peer of the same
precision; for int8, over the best in bfloat16, since quantising these models for the peers takes too long. Cosines
are to a peer's float32 vectors. The share of the peak counts only linear layers."""
SERVE = """Servers on 127.0.0.1 with {threads} threads; 1, 8 and 64 clients ask again as soon as they are answered. The
load generator shares these cores: it is one thread that sends requests written beforehand and does not decode the
answers; *generator* is its share of the processor time of both. *Of `encode`* is the rate over that of one call of
`encode` with all the texts in the same run; the last columns compare the processor time at 64 clients. Vectors travel
as base64. Before a server is timed, its vectors are compared with those of the NumPy tier."""
SERVE_MISSED = """*On the missed targets.* With 64 mixed texts a request, a server that pads them, as most are written
by hand, is 3 to 9 times slower. The best peer gives ONNX Runtime one text at a time: it pads nothing, and so loses
nothing that packing could win, and what is left is the difference of the encoders themselves. 2.5 times its rate cannot
be had here: such a text has 79 tokens and takes 0.88 billion multiply-adds, so 2.5 times 85 texts/s in float32 would be
186 billion a second, and both cores' multipliers do 117 at most. In int8, 2.5 times 165 texts/s would be 361 of 464
billion; `encode` itself does 309. One client waits longer here than on the Zen 4 of 2026-11-30, where a query took 0.1
to 0.3 ms more than `encode` and its own CPU was 151 to 174 µs: on this virtual machine to wake another thread takes 75
µs (a byte to a waiting process and back, measured), a request wakes four, and the peers' single clients wait 1 ms
longer, too. `encode` alone takes 0.3 ms more after a pause of half a millisecond. Tried: to compute a request that is
alone on the event loop's own thread: no sooner with one client, and half as fast with 8 and 64."""
