"""Calls of cross-encoders: usage, applications, speed, pages of models, training pages where they use a model."""

from published_calls.call import of_page
from published_calls.given import BAKERY, CROSS, LABELS, MINILM, PAIRS, STSB

readme = of_page("readme")
quickstart = of_page("quickstart")
usage = of_page("cross usage")
applications = of_page("cross applications")
pretrained = of_page("cross pretrained")
efficiency = of_page("cross efficiency")
custom = of_page("cross custom")
training = of_page("cross training")

STARTED = "from sentence_transformers import CrossEncoder"
BFLOAT16 = 0.05  # of logits: each step of bfloat16 is 1/256 of a number
OF_ALL = "scores = model.predict([(query, passage) for passage in corpus])"
LABELLED = """
scores = model.predict(pairs)
label_mapping = ["contradiction", "entailment", "neutral"]
labels = [label_mapping[score_max] for score_max in scores.argmax(axis=1)]
"""

CALLS = [
    readme(
        "a cross-encoder by name",
        'model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")',
        STARTED,
        PAIRS,
        result="model.predict(pairs)",
    ),
    readme("scores of pairs", OF_ALL, CROSS, BAKERY),
    readme("a ranking with its texts", "ranks = model.rank(query, corpus, return_documents=True)", CROSS, BAKERY),
    readme(
        "its parts",
        "rows = [(rank['corpus_id'], rank['score'], rank['text']) for rank in ranks]",
        CROSS,
        BAKERY,
        "ranks = model.rank(query, corpus, return_documents=True)",
        result="rows",
    ),
    quickstart("a ranking", "ranks = model.rank(query, corpus)", STSB, BAKERY),
    quickstart(
        "pairs as lists, sorted by NumPy",
        """
sentence_combinations = [[query, sentence] for sentence in corpus]
scores = model.predict(sentence_combinations)
ranked_indices = np.argsort(scores)[::-1]
""",
        STSB,
        BAKERY,
        "import numpy as np",
        result="scores, ranked_indices",
    ),
    quickstart(
        "a cross-encoder for images", 'model = CrossEncoder("Qwen/Qwen3-VL-Reranker-2B")', STARTED, kind="image"
    ),
    usage("scores of two pairs", "scores = model.predict(pairs)", CROSS, PAIRS),
    usage("a ranking of passages", "ranks = model.rank(query, corpus)", CROSS, BAKERY),
    usage(
        "printed",
        """rows = [f"{rank['score']:.2f}\\t{corpus[rank['corpus_id']]}" for rank in ranks]""",
        CROSS,
        BAKERY,
        "ranks = model.rank(query, corpus)",
        result="rows",
    ),
    usage(
        "scores between 0 and 1",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", activation_fn=torch.nn.Sigmoid())
scores = model.predict(pairs)
""",
        STARTED,
        PAIRS,
        "import torch",
        needs=("torch",),
    ),
    usage(
        "which inputs a model takes",
        'model.modalities, model.supports("image"), model.supports(("image", "text"))',
        CROSS,
    ),
    applications(
        "from the module of cross-encoders",
        """
from sentence_transformers.cross_encoder import CrossEncoder
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
scores = model.predict([["The bakery", "opens at six"], ["The train", "is late"]])
""",
    ),
    applications(
        "a query with all sentences",
        "ranks = model.rank(query, corpus)",
        """
from sentence_transformers.cross_encoder import CrossEncoder
model = CrossEncoder("cross-encoder/stsb-distilroberta-base")
""",
        BAKERY,
    ),
    applications(
        "a query with all sentences, by hand",
        """
scores = model.predict([[query, sentence] for sentence in corpus])
ranked_indices = np.argsort(scores)[::-1]
""",
        "import numpy as np",
        """
from sentence_transformers.cross_encoder import CrossEncoder
model = CrossEncoder("cross-encoder/stsb-distilroberta-base")
""",
        BAKERY,
        result="scores, ranked_indices",
    ),
    applications(
        "hits, re-ranked",
        """
hits = semantic_search(model.encode(query), model.encode(corpus), top_k=3)[0]
ranked_results = cross_encoder_model.rank(
    query, [corpus[hit["corpus_id"]] for hit in hits], return_documents=True, top_k=2
)
""",
        MINILM,
        BAKERY,
        """
from sentence_transformers import CrossEncoder
from sentence_transformers.util import semantic_search
cross_encoder_model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
""",
        result="ranked_results",
    ),
    pretrained(
        "a sigmoid at loading",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", activation_fn=torch.nn.Sigmoid())
scores = model.predict(pairs)
""",
        STARTED,
        "import torch",
        PAIRS,
        needs=("torch",),
    ),
    pretrained(
        "a longest input (MS MARCO)",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", max_length=512)
scores = model.predict([("Query", "Paragraph1"), ("Query", "Paragraph2"), ("Query", "Paragraph3")])
""",
        STARTED,
    ),
    pretrained("similarity of sentences (STS)", "scores = model.predict(pairs)", STSB, PAIRS),
    pretrained(
        "duplicate questions (Quora)",
        "scores = model.predict(pairs)",
        STARTED,
        PAIRS,
        'model = CrossEncoder("cross-encoder/quora-distilroberta-base")',
    ),
    pretrained("labels of inference (NLI)", LABELLED, LABELS, PAIRS, result="scores, labels"),
    efficiency("float32, as loaded", OF_ALL, CROSS, BAKERY),
    efficiency(
        "float16",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", model_kwargs={"torch_dtype": "float16"})
""",
        STARTED,
        refused=True,
    ),
    efficiency(
        "bfloat16",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", model_kwargs={"torch_dtype": "bfloat16"})
scores = model.predict(pairs)
""",
        STARTED,
        PAIRS,
        within=BFLOAT16,
    ),
    efficiency("float16, later", "model.half()", CROSS, refused=True),
    efficiency("bfloat16, later", "model.bfloat16()", CROSS, refused=True),
    efficiency(
        "flash attention",
        """
model = CrossEncoder(
    "cross-encoder/ms-marco-MiniLM-L6-v2",
    model_kwargs={"torch_dtype": "float16", "attn_implementation": "flash_attention_2"},
)
""",
        STARTED,
        kind="gpu",
    ),
    efficiency("compiled by torch", "model.compile(dynamic=True)", CROSS, kind="torch"),
    efficiency("compiled for little overhead", 'model.compile(mode="reduce-overhead")', CROSS, kind="torch"),
    efficiency(
        "padded to a length",
        """
scores = model.predict(pairs, processing_kwargs={"text": {"padding": "max_length", "max_length": 32}})
""",
        CROSS,
        PAIRS,
    ),
    *(
        efficiency(
            f"{name}",
            f'model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", backend="{backend}")',
            STARTED,
            kind="onnx",
        )
        for name, backend in (("ONNX", "onnx"), ("OpenVINO", "openvino"))
    ),
    custom(
        "a model of modules",
        """
transformer = Transformer("Qwen/Qwen3.5-0.8B", transformer_task="feature-extraction")
model = CrossEncoder(modules=[transformer])
""",
        STARTED,
        "from sentence_transformers.cross_encoder.modules import Transformer, Dense",
        kind="torch",
    ),
    custom(
        "a causal model's score",
        "score_head = LogitScore(true_token_id=1, false_token_id=2)",
        "from sentence_transformers.cross_encoder.modules import Transformer, LogitScore",
        kind="torch",
    ),
    custom(
        "a model's own code",
        'model = CrossEncoder("your-username/your-model-id", trust_remote_code=True)',
        STARTED,
        kind="torch",
    ),
    training(
        "scores of distilled rerankers",
        """
scores = model.predict(pairs)
ranks = model.rank(pairs[0][0], [passage for _, passage in pairs])
""",
        STARTED,
        PAIRS,
        'model = CrossEncoder("tomaarsen/reranker-modernbert-base-msmarco-margin-mse")',
        result="scores, ranks",
    ),
    training(
        "scores of other rerankers",
        """
scores = model.predict(pairs)
ranks = model.rank(pairs[0][0], [passage for _, passage in pairs])
""",
        STARTED,
        PAIRS,
        'model = CrossEncoder("tomaarsen/reranker-ModernBERT-base-gooaq-bce")',
        result="scores, ranks",
    ),
    training(
        "MS MARCO: scores and a ranking",
        """
scores = model.predict([(query, corpus[0]), (query, corpus[1])])
ranks = model.rank(query, corpus)
""",
        CROSS,
        BAKERY,
        result="scores, ranks",
    ),
    training("NLI", LABELLED, LABELS, PAIRS, result="labels"),
    training(
        "Quora",
        "scores = model.predict(pairs)\nprint(scores)",
        STARTED,
        PAIRS,
        'model = CrossEncoder("cross-encoder/quora-distilroberta-base")',
        result="scores",
    ),
    training("STS", "scores = model.predict(pairs)", STSB, PAIRS),
    training("TREC: how many labels", "model.config.num_labels", LABELS),
    training(
        "TREC: softmax over labels",
        "model.predict(cross_inp, apply_softmax=True)[:, 1].tolist()",
        LABELS,
        PAIRS,
        "cross_inp = [list(pair) for pair in pairs]",
    ),
    training(
        "TREC: scores as a list",
        "model.predict(cross_inp).tolist()",
        STARTED,
        PAIRS,
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", max_length=512)
cross_inp = [list(pair) for pair in pairs]
""",
    ),
    training(
        "a new head of one label",
        'model = CrossEncoder("sentence-transformers/all-mpnet-base-v2", num_labels=1)',
        STARTED,
        kind="training",
    ),
    training(
        "a loss",
        "loss = BinaryCrossEntropyLoss(model)",
        CROSS,
        "from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss",
        kind="training",
    ),
    training(
        "a trainer",
        "trainer = CrossEncoderTrainer(model=model)",
        CROSS,
        "from sentence_transformers.cross_encoder import CrossEncoderTrainer",
        kind="training",
    ),
]
