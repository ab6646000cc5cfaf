"""Calls of the reference pages: every public method and argument of SentenceTransformer and CrossEncoder."""

from published_calls.call import of_page
from published_calls.given import BAKERY, CROSS, EVALUATED, LABELS, MINILM, PAIRS, PROMPTED, STSB, THREE, TINY

model = of_page("model")
cross = of_page("cross model")
modules = of_page("modules")

STARTED = "from sentence_transformers import SentenceTransformer"
STATIC = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/static-retrieval-mrl-en-v1", device="cpu")
"""
CROSS_STARTED = "from sentence_transformers import CrossEncoder"


def own(name="sentence-transformers/all-mpnet-base-v2"):
    """A model that a call may change, loaded for it alone."""
    return f'{STARTED}\nown = SentenceTransformer("{name}")'


CALLS = [
    model(
        "similarity of all sentences",
        """
embeddings = model.encode(sentences)
similarities = model.similarity(embeddings, embeddings)
""",
        TINY,
        THREE,
    ),
    # arguments of the constructor
    model(
        "options of the Hub",
        """
model = SentenceTransformer(
    "sentence-transformers/all-mpnet-base-v2",
    cache_folder=None,
    revision=None,
    local_files_only=True,
    token=None,
    trust_remote_code=False,
)
""",
        STARTED,
        result='model.encode("bread")',
    ),
    model(
        "the longest input by the tokenizer's options",
        """
model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", processor_kwargs={"model_max_length": 8})
""",
        STARTED,
        result='model.max_seq_length, model.encode("rain " * 20)',
    ),
    model(
        "a width at loading",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", truncate_dim=8)',
        STARTED,
        result='model.truncate_dim, model.get_embedding_dimension(), model.encode("bread")',
    ),
    model(
        "a similarity by its name",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", similarity_fn_name="dot")',
        STARTED,
        result="model.similarity_fn_name",
    ),
    model(
        "the backend of torch",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", backend="torch")',
        STARTED,
        result='model.encode("bread")',
    ),
    model("a model of modules", "model = SentenceTransformer(modules=[])", STARTED, kind="torch"),
    # encode, argument by argument
    model("one sentence", 'embedding = model.encode("The bakery opens at six.")', TINY),
    model("no sentence", "embeddings = model.encode([])", TINY, result="len(embeddings)"),
    model("the old name of the argument", "embeddings = model.encode(sentences=sentences)", TINY, THREE),
    model("the new name of the argument", "embeddings = model.encode(inputs=sentences)", TINY, THREE),
    model("prompt_name", 'embeddings = model.encode(sentences, prompt_name="query")', PROMPTED, THREE),
    model("prompt", 'embeddings = model.encode(sentences, prompt="the query: ")', PROMPTED, THREE),
    model(
        "by place: prompt_name, prompt, batch_size, show_progress_bar",
        'embeddings = model.encode(sentences, "query", None, 2, False)',
        PROMPTED,
        THREE,
    ),
    model("batch_size", "embeddings = model.encode(sentences, batch_size=1)", TINY, THREE),
    model("show_progress_bar", "embeddings = model.encode(sentences, show_progress_bar=True)", TINY, THREE),
    model(
        "token vectors",
        'embeddings = model.encode(sentences, output_value="token_embeddings")',
        TINY,
        THREE,
        needs=("torch",),
    ),
    model(
        "token vectors of one sentence",
        'embeddings = model.encode("bread", output_value="token_embeddings")',
        TINY,
        needs=("torch",),
    ),
    model(
        "all that is known of each sentence",
        """
found = model.encode(sentences, output_value=None)
vectors = [item["sentence_embedding"] for item in found]
""",
        TINY,
        THREE,
        needs=("torch",),
        result="vectors, [item['input_ids'].tolist()[:4] for item in found]",
    ),
    *(
        model(
            f"precision {precision}",
            f'embeddings = model.encode(sentences, precision="{precision}")',
            TINY,
            THREE,
            exact=False,
        )
        for precision in ("float32", "int8", "uint8", "binary", "ubinary")
    ),
    model(
        "a list of tensors",
        "embeddings = model.encode(sentences, convert_to_numpy=False)",
        TINY,
        THREE,
        needs=("torch",),
    ),
    model("one tensor", "embeddings = model.encode(sentences, convert_to_tensor=True)", TINY, THREE, needs=("torch",)),
    model(
        "one tensor of one sentence",
        'embedding = model.encode("bread", convert_to_tensor=True)',
        TINY,
        needs=("torch",),
    ),
    model("a device", 'embeddings = model.encode(sentences, device="cpu")', TINY, THREE),
    model("normalised", "embeddings = model.encode(sentences, normalize_embeddings=True)", TINY, THREE),
    model("a width", "embeddings = model.encode(sentences, truncate_dim=8)", TINY, THREE),
    model(
        "a width, normalised",
        "embeddings = model.encode(sentences, truncate_dim=8, normalize_embeddings=True)",
        TINY,
        THREE,
    ),
    model(
        "chunks for several processes",
        'embeddings = model.encode(sentences, device=["cpu", "cpu"], chunk_size=2)',
        TINY,
        THREE,
    ),
    model("encode_query", 'embedding = model.encode_query("bread")', PROMPTED),
    model(
        "encode_document",
        "embeddings = model.encode_document(sentences, batch_size=2, normalize_embeddings=True)",
        PROMPTED,
        THREE,
    ),
    model("encode_query without prompts", 'embedding = model.encode_query("bread")', TINY),
    # similarity
    model(
        "similarity",
        "similarities = model.similarity(embeddings[0], embeddings)",
        TINY,
        THREE,
        "embeddings = model.encode(sentences)",
    ),
    model(
        "similarity_pairwise",
        "similarities = model.similarity_pairwise(embeddings[1:], embeddings[:-1])",
        TINY,
        THREE,
        "embeddings = model.encode(sentences)",
    ),
    model("similarity_fn_name", "model.similarity_fn_name", TINY),
    # what a model says of itself
    model("max_seq_length", "model.max_seq_length", TINY),
    model("get_max_seq_length", "model.get_max_seq_length()", TINY),
    model("get_embedding_dimension", "model.get_embedding_dimension()", TINY),
    model("get_sentence_embedding_dimension", "model.get_sentence_embedding_dimension()", TINY),
    model("prompts", "model.prompts, model.default_prompt_name", PROMPTED),
    model("prompts of a model without", "model.prompts, model.default_prompt_name", TINY),
    model("truncate_dim", "model.truncate_dim", TINY),
    model("device", "str(model.device)", TINY),
    model("get_backend", "model.get_backend()", TINY),
    model("modalities", "model.modalities", TINY),
    model("supports", 'model.supports("text"), model.supports("image")', TINY),
    model("get_model_kwargs", "model.get_model_kwargs()", TINY),
    model("is_singular_input", 'model.is_singular_input("bread"), model.is_singular_input(["bread"])', TINY),
    model("config", "model.config.hidden_size", TINY),
    model("dtype", "model.dtype", TINY, result='str(model.dtype).removeprefix("torch.")'),
    # tokens
    model(
        "tokenize",
        "features = model.tokenize(sentences)",
        TINY,
        THREE,
        needs=("torch",),
        result="{key: value.tolist() for key, value in features.items() if key in ('input_ids', 'attention_mask')}",
    ),
    model(
        "preprocess",
        "features = model.preprocess(sentences)",
        TINY,
        THREE,
        needs=("torch",),
        result="{key: value.tolist() for key, value in features.items() if key in ('input_ids', 'attention_mask')}",
    ),
    model(
        "tokenize without torch: how many tokens",
        "[sum(row) for row in model.tokenize(sentences)['attention_mask'].tolist()]",
        TINY,
        THREE,
    ),
    model("tokenizer", "model.tokenizer.tokenize('a cat in the rain')", MINILM),
    model("tokenizer called", "model.tokenizer('a cat in the rain')['input_ids']", MINILM),
    model("tokenizer.encode and decode", "model.tokenizer.decode(model.tokenizer.encode('a cat'))", MINILM),
    # switches
    model(
        "truncate_embeddings",
        """
with model.truncate_embeddings(truncate_dim=16):
    embeddings_truncated = model.encode(["hello there", "hiya"])
""",
        own("sentence-transformers/all-mpnet-base-v2") + "\nmodel = own",
        result="embeddings_truncated, model.truncate_dim",
    ),
    model(
        "truncate_sentence_embeddings",
        """
with model.truncate_sentence_embeddings(truncate_dim=16):
    embeddings_truncated = model.encode(["hello there", "hiya"])
""",
        own() + "\nmodel = own",
        result="embeddings_truncated",
    ),
    model(
        "set_pooling_include_prompt",
        """
model.set_pooling_include_prompt(include_prompt=False)
embeddings = model.encode(sentences, prompt_name="query")
""",
        own("mixedbread-ai/mxbai-embed-large-v1") + "\nmodel = own",
        THREE,
    ),
    model("to the CPU", 'embeddings = model.to("cpu").encode(sentences)', TINY, THREE),
    model("cpu", "embeddings = model.cpu().encode(sentences)", TINY, THREE),
    model("eval", "embeddings = model.eval().encode(sentences)", TINY, THREE),
    model("float", "embeddings = model.float().encode(sentences)", TINY, THREE),
    model("to a GPU", 'model.to("cuda")', TINY, kind="gpu"),
    model("cuda", "model.cuda()", TINY, kind="gpu"),
    # saving
    model(
        "save_pretrained and load again",
        """
model.save_pretrained("saved")
embeddings = SentenceTransformer("saved").encode(sentences)
""",
        TINY,
        THREE,
    ),
    model(
        "save and load again",
        """
model.save("saved")
embeddings = SentenceTransformer("saved").encode(sentences)
""",
        PROMPTED,
        THREE,
        result="embeddings, SentenceTransformer('saved').prompts",
    ),
    model(
        "the old load",
        'embeddings = SentenceTransformer.load("saved").encode(sentences)',
        TINY,
        THREE,
        'model.save("saved")',
    ),
    model(
        "evaluate",
        "results = model.evaluate(evaluator)",
        EVALUATED,
        """
from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator
evaluator = TripletEvaluator(["bread"], ["a baker's bread"], ["a train"], name="dev")
""",
    ),
    # processes
    model(
        "encode_multi_process",
        """
pool = model.start_multi_process_pool(["cpu", "cpu"])
embeddings = model.encode_multi_process(sentences, pool)
model.stop_multi_process_pool(pool)
""",
        TINY,
        THREE,
        result="embeddings",
    ),
    # what is torch's
    model("modules by place", "model[0].auto_model", TINY, kind="torch"),
    model("transformers_model", "model.transformers_model", TINY, kind="torch"),
    model("state_dict", "model.state_dict()", TINY, kind="torch"),
    model("compile", "model.compile()", TINY, kind="torch"),
    model("train", "model.train()", TINY, kind="training"),
    model("gradient checkpointing", "model.gradient_checkpointing_enable()", TINY, kind="training"),
    model("fit", "model.fit(train_objectives=[])", TINY, kind="training"),
    model("load_adapter", 'model.load_adapter("some/adapter")', TINY, kind="torch"),
    model("push_to_hub", 'model.push_to_hub("me/my-model")', TINY, kind="hub"),
    model("save_to_hub", 'model.save_to_hub("me/my-model")', TINY, kind="hub"),
    model(
        "merge",
        'merged = SentenceTransformer.merge(models=["a", "b"], parameters={"weight": [0.6, 0.4]})',
        STARTED,
        refused=True,
    ),
    # cross-encoders
    cross(
        "scores and a ranking",
        """
scores = model.predict(pairs)
results = model.rank(pairs[0][0], [document for _, document in pairs])
""",
        CROSS,
        PAIRS,
        result="scores, results",
    ),
    cross("pairs as lists", "scores = model.predict([list(pair) for pair in pairs])", STSB, PAIRS),
    cross("one pair", "score = model.predict(pairs[0])", CROSS, PAIRS, result="float(score)"),
    cross("the new name of the argument", "scores = model.predict(inputs=pairs)", CROSS, PAIRS),
    cross("the old name of the argument", "scores = model.predict(sentences=pairs)", CROSS, PAIRS),
    cross("batch_size and bar", "scores = model.predict(pairs, batch_size=1, show_progress_bar=True)", CROSS, PAIRS),
    cross(
        "an activation for one call",
        "scores = model.predict(pairs, activation_fn=torch.nn.Sigmoid())",
        CROSS,
        PAIRS,
        "import torch",
        needs=("torch",),
    ),
    cross(
        "no activation for one call",
        "scores = model.predict(pairs, activation_fn=torch.nn.Identity())",
        STSB,
        PAIRS,
        "import torch",
        needs=("torch",),
    ),
    cross("softmax over labels", "scores = model.predict(pairs, apply_softmax=True)", LABELS, PAIRS),
    cross("scores of each label", "scores = model.predict(pairs)", LABELS, PAIRS),
    cross("one tensor", "scores = model.predict(pairs, convert_to_tensor=True)", CROSS, PAIRS, needs=("torch",)),
    cross("a list of tensors", "scores = model.predict(pairs, convert_to_numpy=False)", CROSS, PAIRS, needs=("torch",)),
    cross("no pair", "scores = model.predict([])", CROSS, result="len(scores)"),
    cross(
        "several processes by a list of devices", 'scores = model.predict(pairs, device=["cpu", "cpu"])', CROSS, PAIRS
    ),
    cross(
        "a pool of processes",
        """
pool = model.start_multi_process_pool()
scores = model.predict(pairs, pool=pool)
model.stop_multi_process_pool(pool)
""",
        CROSS,
        PAIRS,
        result="scores",
    ),
    cross("several GPUs", 'scores = model.predict(pairs, device=["cuda:0", "cuda:1"])', CROSS, PAIRS, kind="gpu"),
    cross("the best of a ranking", "ranks = model.rank(query, corpus, top_k=2)", CROSS, BAKERY),
    cross("a ranking with its texts", "ranks = model.rank(query, corpus, return_documents=True)", CROSS, BAKERY),
    cross(
        "a ranking in batches", "ranks = model.rank(query, corpus, batch_size=2, show_progress_bar=False)", STSB, BAKERY
    ),
    cross(
        "max_length at loading",
        'model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", max_length=12)',
        CROSS_STARTED,
        BAKERY,
        result="model.max_seq_length, model.predict([(query, text) for text in corpus])",
    ),
    cross(
        "max_seq_length set later",
        "model.max_seq_length = 12",
        CROSS_STARTED,
        'model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")',
        BAKERY,
        result="model.max_seq_length, model.predict([(query, text) for text in corpus])",
    ),
    cross("num_labels", "model.num_labels", LABELS),
    cross(
        "num_labels at loading, as it is",
        'model = CrossEncoder("cross-encoder/nli-deberta-v3-base", num_labels=3)',
        CROSS_STARTED,
        PAIRS,
        result="model.predict(pairs)",
    ),
    cross(
        "prompts at loading",
        """
model = CrossEncoder(
    "cross-encoder/ms-marco-MiniLM-L6-v2", prompts={"query": "the question: "}, default_prompt_name="query"
)
scores = model.predict(pairs)
""",
        CROSS_STARTED,
        PAIRS,
    ),
    cross("a prompt for one call", 'scores = model.predict(pairs, prompt="the question: ")', CROSS, PAIRS),
    cross("config", "model.config.num_labels", LABELS),
    cross(
        "save_pretrained and load again",
        """
model.save_pretrained("saved")
scores = CrossEncoder("saved").predict(pairs)
""",
        STSB,
        PAIRS,
    ),
    cross("device and eval", "str(model.device), model.eval().predict(pairs)", CROSS, PAIRS),
    cross("the model of transformers", "model.model", CROSS, kind="torch"),
    cross("fit", "model.fit(train_dataloader=None)", CROSS, kind="training"),
    cross("push_to_hub", 'model.push_to_hub("me/my-reranker")', CROSS, kind="hub"),
    # modules
    modules("a static model", 'embeddings = model.encode(["What is bread?", "Bread is baked."])', STATIC),
    modules(
        "similarity of static vectors",
        "similarity = model.similarity(embeddings[0], embeddings[1])",
        STATIC,
        'embeddings = model.encode(["What is bread?", "Bread is baked."])',
    ),
    modules(
        "StaticEmbedding from model2vec",
        """
static_embedding = StaticEmbedding.from_model2vec("minishlab/potion-base-8M")
""",
        "from sentence_transformers.sentence_transformer.modules import StaticEmbedding",
        kind="torch",
    ),
    modules(
        "StaticEmbedding by distillation",
        'static_embedding = StaticEmbedding.from_distillation("BAAI/bge-base-en-v1.5")',
        "from sentence_transformers.sentence_transformer.modules import StaticEmbedding",
        kind="torch",
    ),
    modules(
        "a router of two encoders",
        "router = Router.for_query_document(query_modules=[], document_modules=[])",
        "from sentence_transformers.base.modules import Router",
        kind="torch",
    ),
    *(
        modules(
            name,
            f"module = {name}({arguments})",
            f"from sentence_transformers.{path}.modules import {name}",
            kind="torch",
        )
        for name, arguments, path in (
            ("Transformer", '"bert-base-uncased"', "base"),
            ("Pooling", '384, pooling_mode="mean"', "sentence_transformer"),
            ("Normalize", "", "base"),
            ("Dense", "384, 64", "base"),
            ("WordEmbeddings", "None, None", "sentence_transformer"),
            ("WeightedLayerPooling", "384", "sentence_transformer"),
            ("BoW", "[]", "sentence_transformer"),
            ("CNN", "384", "sentence_transformer"),
            ("LSTM", "384, 64", "sentence_transformer"),
            ("WordWeights", "[], {}", "sentence_transformer"),
        )
    ),
    modules(
        "the old module of modules",
        "models.Transformer('bert-base-uncased')",
        "from sentence_transformers import models",
        kind="torch",
    ),
]
