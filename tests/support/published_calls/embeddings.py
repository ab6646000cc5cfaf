"""Calls that compute embeddings: first pages, usage, prompts, Matryoshka, speed, the pages of pretrained models."""

from published_calls.call import of_page
from published_calls.given import BAKERY, EVALUATED, MINILM, PROMPTED, THREE, TINY

readme = of_page("readme")
quickstart = of_page("quickstart")
usage = of_page("usage")
computing = of_page("computing")
prompts = of_page("prompts")
matryoshka = of_page("matryoshka")
adaptive = of_page("adaptive")
adapters = of_page("adapters")
efficiency = of_page("efficiency")
mteb = of_page("mteb")
pretrained = of_page("pretrained")

STARTED = """
from sentence_transformers import SentenceTransformer
"""
E5_PROMPTS = """{
        "classification": "Sort this text: ",
        "retrieval": "Find texts like this: ",
        "clustering": "Name the topic: ",
    }"""
E5 = f"""
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("intfloat/multilingual-e5-large", prompts={E5_PROMPTS}, default_prompt_name="retrieval")
"""
BFLOAT16 = 5e-3  # torch's bfloat16 is 3e-3 from its float32 here, as it also makes unit length in bfloat16; ours 8e-4

CALLS = [
    readme(
        "load a model by name",
        'model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")',
        STARTED,
        result='model.encode("Bread and butter")',
    ),
    readme("encode a list", "embeddings = model.encode(sentences)", MINILM, THREE),
    readme(
        "the shape of what comes back",
        "embeddings = model.encode(sentences)\nprint(embeddings.shape)",
        MINILM,
        THREE,
        result="embeddings.shape",
    ),
    readme(
        "similarities of all with all",
        "similarities = model.similarity(embeddings, embeddings)",
        MINILM,
        THREE,
        "embeddings = model.encode(sentences)",
    ),
    quickstart(
        "encode, compare",
        """
embeddings = model.encode(sentences)
similarities = model.similarity(embeddings, embeddings)
""",
        MINILM,
        THREE,
        result="embeddings.shape, similarities",
    ),
    quickstart(
        "print the similarities",
        "print(similarities)",
        MINILM,
        THREE,
        "similarities = model.similarity(model.encode(sentences), model.encode(sentences))",
        result="similarities",
    ),
    usage(
        "encode, compare",
        "similarities = model.similarity(model.encode(sentences), model.encode(sentences))",
        MINILM,
        THREE,
    ),
    usage("which inputs a model takes", "model.modalities", MINILM),
    usage("whether a model takes images", 'model.supports("image")', MINILM),
    usage("queries by their own method", "query_embeddings = model.encode_query([query])", PROMPTED, BAKERY),
    usage("documents by theirs", "doc_embeddings = model.encode_document(corpus)", PROMPTED, BAKERY),
    usage(
        "queries against documents",
        "similarities = model.similarity(model.encode_query([query]), model.encode_document(corpus))",
        PROMPTED,
        BAKERY,
    ),
    # computing embeddings
    computing(
        "a name",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")',
        STARTED,
        result='model.encode("Rain on the river")',
    ),
    computing(
        "a folder of one's own",
        'model = SentenceTransformer("output/models/mpnet-base-finetuned-all-nli")',
        STARTED,
        result='model.encode("Rain on the river")',
    ),
    computing(
        "a device",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", device="cpu")',
        STARTED,
        result='model.encode("Rain on the river"), str(model.device)',
    ),
    computing(
        "CUDA",
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", device="cuda")',
        STARTED,
        kind="gpu",
    ),
    computing(
        "prompts at loading",
        f"""
model = SentenceTransformer("intfloat/multilingual-e5-large", prompts={E5_PROMPTS})
""",
        STARTED,
        result='model.prompts, model.encode("a cake", prompt_name="clustering")',
    ),
    computing(
        "prompts set later",
        f"""
model.prompts = {E5_PROMPTS}
""",
        STARTED,
        'model = SentenceTransformer("intfloat/multilingual-e5-large")',
        result='model.encode("a cake", prompt_name="clustering")',
    ),
    computing(
        "a default prompt at loading",
        f"""
model = SentenceTransformer("intfloat/multilingual-e5-large", prompts={E5_PROMPTS}, default_prompt_name="retrieval")
""",
        STARTED,
        result='model.default_prompt_name, model.encode("a cake")',
    ),
    computing(
        "a default prompt set later",
        'model.default_prompt_name = "retrieval"',
        STARTED,
        f'model = SentenceTransformer("intfloat/multilingual-e5-large", prompts={E5_PROMPTS})',
        result='model.encode("a cake")',
    ),
    computing(
        "a prompt in words", 'embeddings = model.encode("How to bake a cake", prompt="Find texts like this: ")', E5
    ),
    computing("a prompt by name", 'embeddings = model.encode("How to bake a cake", prompt_name="retrieval")', E5),
    computing("the default prompt, unasked", 'embeddings = model.encode("How to bake a cake")', E5),
    computing("the longest input", "model.max_seq_length", MINILM),
    computing(
        "a shorter longest input",
        "model.max_seq_length = 8",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")',
        result='model.max_seq_length, model.encode("rain " * 20)',
    ),
    computing(
        "several processes by a list of devices",
        """
embeddings = model.encode(sentences, device=["cpu", "cpu"])
""",
        TINY,
        THREE,
    ),
    computing(
        "a pool of processes",
        """
pool = model.start_multi_process_pool(target_devices=["cpu", "cpu"])
embeddings = model.encode(sentences, pool=pool)
model.stop_multi_process_pool(pool)
""",
        TINY,
        THREE,
        result="embeddings",
    ),
    computing(
        "a pool on all devices that are there",
        """
pool = model.start_multi_process_pool()
emb = model.encode(sentences, pool=pool)
model.stop_multi_process_pool(pool)
""",
        TINY,
        THREE,
        result="emb",
    ),
    computing(
        "a pool of GPUs", 'pool = model.start_multi_process_pool(target_devices=["cuda:0", "cuda:1"])', TINY, kind="gpu"
    ),
    computing(
        "GPUs by a list of devices",
        'embeddings = model.encode(sentences, device=["cuda:0", "cuda:1"])',
        TINY,
        THREE,
        kind="gpu",
    ),
    computing(
        "a stream through a pool, in chunks",
        """
pool = model.start_multi_process_pool()
for start in range(0, 3, 2):
    batch_emb = model.encode(sentences[start : start + 2], batch_size=128, pool=pool, chunk_size=1024)
model.stop_multi_process_pool(pool)
""",
        TINY,
        THREE,
        result="batch_emb",
    ),
    computing(
        "one vector beside each sentence",
        """
sentence_embeddings = model.encode(sentences)
rows = [(sentence, embedding) for sentence, embedding in zip(sentences, sentence_embeddings)]
""",
        MINILM,
        THREE,
        result="rows",
    ),
    # prompts
    prompts(
        "a query's prompt by name", 'query_embedding = model.encode("What is bread?", prompt_name="query")', PROMPTED
    ),
    prompts(
        "the same prompt in words",
        'query_embedding = model.encode("What is bread?", prompt="the query is: ")',
        PROMPTED,
    ),
    prompts(
        "a query with, documents without a prompt",
        """
query_embedding = model.encode(query, prompt_name="query")
document_embeddings = model.encode(corpus)
similarity = model.similarity(query_embedding, document_embeddings)
""",
        PROMPTED,
        BAKERY,
    ),
    prompts(
        "a prompt for each side",
        """
query_embedding = model.encode(query, prompt_name="query")
document_embeddings = model.encode(corpus, prompt_name="document")
similarity = model.similarity(query_embedding, document_embeddings)
""",
        STARTED,
        'model = SentenceTransformer("tomaarsen/mpnet-base-nq-prompts")',
        BAKERY,
    ),
    prompts(
        "a prompt that is left out of the mean",
        'query_embedding = model.encode(query, prompt_name="query")',
        STARTED,
        'model = SentenceTransformer("tomaarsen/bert-base-nq-prompts-exclude-pooling-prompts")',
        BAKERY,
    ),
    # Matryoshka
    matryoshka(
        "a shorter vector at loading",
        """
model = SentenceTransformer("nomic-ai/nomic-embed-text-v1.5", trust_remote_code=True, truncate_dim=16)
embeddings = model.encode(["search_query: bread", "search_document: It opens at six.", "search_document: Rain."])
similarities = model.similarity(embeddings[0], embeddings[1:])
""",
        STARTED,
        result="embeddings, similarities",
    ),
    matryoshka(
        "its width",
        "assert embeddings.shape[-1] == 16",
        STARTED,
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("nomic-ai/nomic-embed-text-v1.5", trust_remote_code=True, truncate_dim=16)
embeddings = model.encode(["search_query: bread"])
""",
        result="embeddings.shape",
    ),
    matryoshka(
        "an evaluator at several widths",
        """
for dim in (32, 16, 8):
    test_evaluator.truncate_dim = dim
    scores[dim] = test_evaluator(model)
""",
        EVALUATED,
        """
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator, SimilarityFunction
scores = {}
test_evaluator = EmbeddingSimilarityEvaluator(
    ["bread and butter", "a late train", "rain", "a cat"],
    ["butter on bread", "the train is late", "a library", "sun"],
    [0.9, 0.8, 0.1, 0.3],
    main_similarity=SimilarityFunction.COSINE,
    name="sts-test",
)
""",
        result="scores",
    ),
    matryoshka(
        "a Matryoshka loss",
        """
base_loss = CoSENTLoss(model=model)
loss = MatryoshkaLoss(model=model, loss=base_loss, matryoshka_dims=[32, 16, 8])
""",
        TINY,
        "from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MatryoshkaLoss",
        kind="training",
    ),
    # adaptive layers
    adaptive("the model of transformers inside", "print(model.transformers_model)", TINY, kind="torch"),
    adaptive(
        "fewer layers",
        "model.transformers_model.encoder.layer = model.transformers_model.encoder.layer[:1]",
        TINY,
        kind="torch",
    ),
    adaptive(
        "the first sentence with the others",
        "similarities = model.similarity(embeddings[0], embeddings[1:])",
        TINY,
        THREE,
        "embeddings = model.encode(sentences)",
    ),
    adaptive(
        "an adaptive loss",
        "loss = AdaptiveLayerLoss(model=model, loss=None)",
        TINY,
        "from sentence_transformers.sentence_transformer.losses import AdaptiveLayerLoss",
        kind="training",
    ),
    # adapters
    adapters(
        "a model with its adapter",
        """
model = SentenceTransformer("tomaarsen/bert-base-uncased-gooaq-peft")
embeddings = model.encode(sentences)
similarities = model.similarity(embeddings[0], embeddings[1:])
""",
        STARTED,
        THREE,
        result="embeddings, similarities",
    ),
    adapters(
        "an adapter onto a loaded model",
        'model.load_adapter("tomaarsen/bert-base-uncased-gooaq-peft")',
        TINY,
        kind="torch",
    ),
    adapters("a new adapter to train", "model.add_adapter(object())", TINY, kind="training"),
    *(
        adapters(f"{name}", f"model.{name}({argument})", TINY, kind="torch")
        for name, argument in (
            ("active_adapters", ""),
            ("set_adapter", '"x"'),
            ("enable_adapters", ""),
            ("disable_adapters", ""),
            ("get_adapter_state_dict", ""),
            ("delete_adapter", '"x"'),
        )
    ),
    # speed
    efficiency("float32, as loaded", "embeddings = model.encode(sentences)", MINILM, THREE),
    efficiency(
        "float16",
        """
model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", model_kwargs={"torch_dtype": "float16"})
""",
        STARTED,
        refused=True,
    ),
    efficiency(
        "bfloat16",
        """
model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", model_kwargs={"torch_dtype": "bfloat16"})
embeddings = model.encode(sentences)
""",
        STARTED,
        THREE,
        within=BFLOAT16,
        heavy=True,
    ),
    efficiency("float16, later", "model.half()", TINY, refused=True),
    efficiency("bfloat16, later", "model.bfloat16()", TINY, refused=True),
    efficiency(
        "flash attention",
        """
model = SentenceTransformer(
    "sentence-transformers/all-MiniLM-L6-v2",
    model_kwargs={"attn_implementation": "flash_attention_2", "torch_dtype": "bfloat16"},
)
""",
        STARTED,
        kind="gpu",
    ),
    efficiency(
        "packed inputs, switched",
        "model[0].unpad_inputs = False",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")',
        THREE,
        result="model.encode(sentences)",
    ),
    efficiency("compiled by torch", "model.compile(dynamic=True)", TINY, kind="torch"),
    efficiency("compiled for little overhead", 'model.compile(mode="reduce-overhead")', TINY, kind="torch"),
    efficiency(
        "padded to a length",
        """
embeddings = model.encode(sentences, processing_kwargs={"text": {"padding": "max_length", "max_length": 32}})
""",
        TINY,
        THREE,
    ),
    *(
        efficiency(
            f"{name}",
            f'model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", backend="{backend}")',
            STARTED,
            kind="onnx",
        )
        for name, backend in (("ONNX", "onnx"), ("OpenVINO", "openvino"))
    ),
    *(
        efficiency(
            f"{name}",
            f'{function}(model, {options}, "saved")',
            TINY,
            f"from sentence_transformers import {function}",
            kind="onnx",
        )
        for name, function, options in (
            ("an optimised ONNX file", "export_optimized_onnx_model", '"O3"'),
            ("a quantised ONNX file", "export_dynamic_quantized_onnx_model", '"avx2"'),
            ("a quantised OpenVINO file", "export_static_quantized_openvino_model", "None"),
        )
    ),
    efficiency(
        "a loss of this page",
        "from sentence_transformers import losses\nlosses.CachedMultipleNegativesRankingLoss(model)",
        TINY,
        kind="training",
    ),
    # MTEB
    mteb(
        "a model for mteb.evaluate",
        "results = mteb.evaluate(model, tasks)",
        MINILM,
        "import mteb\ntasks = []",
        needs=("mteb",),
        refused=True,
        instead="it needs a model of its own protocol; minembed.integrations.mteb makes one",
    ),
    # pretrained models
    pretrained(
        "encode, compare",
        """
embeddings = model.encode(sentences)
similarities = model.similarity(embeddings, embeddings)
""",
        TINY,
        THREE,
        result="embeddings, similarities",
    ),
    pretrained(
        "one query with several passages",
        """
query_embedding = model.encode(query)
passage_embeddings = model.encode(corpus)
similarity = model.similarity(query_embedding, passage_embeddings)
""",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/multi-qa-mpnet-base-cos-v1")',
        BAKERY,
    ),
    pretrained(
        "an instruction as prompt",
        'embeddings = model.encode(sentences, prompt="Find the topic of the text: ")',
        STARTED,
        'model = SentenceTransformer("hkunlp/instructor-large")',
        THREE,
    ),
    pretrained(
        "an instruction for each side",
        """
query_embedding = model.encode(query, prompt="a question: ")
corpus_embeddings = model.encode(corpus, prompt="a document: ")
similarities = cos_sim(query_embedding, corpus_embeddings)
""",
        STARTED,
        "from sentence_transformers.util import cos_sim",
        'model = SentenceTransformer("hkunlp/instructor-large")',
        BAKERY,
    ),
    pretrained(
        "title and passage with [SEP] (DPR)",
        """
passage_embeddings = passage_encoder.encode(["Bakery [SEP] The bakery opens at six.", "Train [SEP] It is late."])
query_embedding = query_encoder.encode("When can I buy bread?")
scores = dot_score(query_embedding, passage_embeddings)
""",
        STARTED,
        """
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import dot_score
passage_encoder = SentenceTransformer("sentence-transformers/facebook-dpr-ctx_encoder-single-nq-base")
query_encoder = SentenceTransformer("sentence-transformers/facebook-dpr-question_encoder-single-nq-base")
""",
    ),
    pretrained(
        "marks before queries and passages (MS MARCO v1)",
        """
query_embedding = model.encode("[QRY] " + "When can I buy bread?")
passage_embedding = model.encode("[DOC] " + "The bakery opens at six.")
similarity = model.similarity(query_embedding, passage_embedding)
""",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/distilroberta-base-msmarco-v1")',
    ),
    pretrained(
        "one with one (MS MARCO v2, v3)",
        """
query_embedding = model.encode("When can I buy bread?")
passage_embedding = model.encode("The bakery opens at six.")
similarity = model.similarity(query_embedding, passage_embedding)
""",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/msmarco-distilbert-base-v3")',
    ),
    pretrained(
        "one with several, by dot product (MS MARCO v5)",
        """
query_embedding = model.encode(query)
passage_embedding = model.encode(corpus)
similarity = model.similarity(query_embedding, passage_embedding)
""",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/msmarco-distilbert-dot-v5")',
        BAKERY,
    ),
    pretrained(
        "passages as [title, text] (Natural Questions)",
        """
query_embedding = model.encode("When does the bakery open?")
passage_embedding = model.encode([["Bakery", "The bakery opens at six."]])
similarity = model.similarity(query_embedding, passage_embedding)
""",
        STARTED,
        'model = SentenceTransformer("sentence-transformers/nq-distilbert-base-v1")',
    ),
    pretrained(
        "a model that takes images", 'model = SentenceTransformer("Qwen/Qwen3-VL-Embedding-2B")', STARTED, kind="image"
    ),
]
