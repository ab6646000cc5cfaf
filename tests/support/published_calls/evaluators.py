"""Calls of evaluators, on a dozen texts."""

from published_calls.call import of_page
from published_calls.given import BAKERY, CROSS, EVALUATED, LABELS, MINILM, PAIRS, STSB, THREE, TINY

evaluation = of_page("evaluation")
evaluators = of_page("evaluators")
cross = of_page("cross evaluators")
training = of_page("training")

STS = """
sentences1 = ["A baker kneads dough.", "A cat sleeps.", "Rain on the river", "Two trains meet."]
sentences2 = ["Dough is kneaded.", "A library", "It rains on the river.", "The trains are meeting."]
scores = [0.9, 0.1, 0.8, 0.95]
labels = [1, 0, 1, 1]
"""
CORRELATION = 1e-5  # cosines within the contract of 2e-6 that differ by some tenths from each other
IN = "from sentence_transformers.sentence_transformer.evaluation import {}"
CROSS_IN = "from sentence_transformers.cross_encoder.evaluation import {}"
RETRIEVAL = """
queries = {"q1": "When can I buy bread?", "q2": "Is the train late?"}
corpus = {"d1": "The bakery opens at six.", "d2": "Our train is late again.", "d3": "It lends books.", "d4": "Rain"}
relevant_docs = {"q1": {"d1"}, "q2": {"d2", "d4"}}
"""
TRIPLETS = """
anchors = ["bread", "train", "rain"]
positives = ["a baker's bread", "two trains", "it rains"]
negatives = ["a train", "a cat", "a library"]
"""
SAMPLES = """
samples = [
    {"query": "When can I buy bread?", "positive": ["The bakery opens at six."], "negative": ["Rain", "Late"]},
    {"query": "Is the train late?", "positive": ["Our train is late.", "It is late."], "negative": ["A library"]},
]
"""
DOCUMENTS = """
samples = [
    {"query": "When can I buy bread?", "positive": ["It opens at six."], "documents": ["Rain", "It opens at six."]},
    {"query": "Is the train late?", "positive": ["It is late."], "documents": ["A library", "Bread", "It is late."]},
]
"""
PRIMARY = "evaluator.primary_metric, results"

CALLS = [
    evaluation(
        "an STS evaluator through the model",
        """
results = model.evaluate(dev_evaluator)
""",
        MINILM,
        STS,
        IN.format("EmbeddingSimilarityEvaluator"),
        """
from sentence_transformers.util.similarity import SimilarityFunction
dev_evaluator = EmbeddingSimilarityEvaluator(
    sentences1=sentences1,
    sentences2=sentences2,
    scores=scores,
    main_similarity=SimilarityFunction.COSINE,
    name="sts-dev",
)
""",
    ),
    evaluation(
        "translations",
        """
translation_evaluator = TranslationEvaluator(sentences1, sentences2, name="en-de-dev", batch_size=32)
results = translation_evaluator(model)
""",
        EVALUATED,
        STS,
        IN.format("TranslationEvaluator"),
        result="results",
    ),
    evaluation("speed", "emb = model.encode(sentences, batch_size=32)", TINY, THREE),
    evaluation(
        "MS MARCO",
        """
ir_evaluator = InformationRetrievalEvaluator(
    queries,
    corpus,
    relevant_docs,
    show_progress_bar=True,
    corpus_chunk_size=100000,
    precision_recall_at_k=[10, 100],
    name="msmarco dev",
)
results = ir_evaluator(model)
""",
        EVALUATED,
        RETRIEVAL,
        IN.format("InformationRetrievalEvaluator"),
        result="results",
    ),
    evaluation(
        "AskUbuntu",
        """
dev_evaluator = RerankingEvaluator(samples, name="AskUbuntu dev")
results = dev_evaluator(model)
""",
        EVALUATED,
        SAMPLES,
        IN.format("RerankingEvaluator"),
        result="results",
    ),
    evaluation(
        "a quantised ONNX model",
        """
onnx_model = SentenceTransformer(
    "sentence-transformers/all-mpnet-base-v2",
    backend="onnx",
    device="cpu",
    model_kwargs={"provider": "CPUExecutionProvider"},
)
""",
        "from sentence_transformers import SentenceTransformer",
        kind="onnx",
    ),
    evaluators(
        "binary classification",
        """
evaluator = BinaryClassificationEvaluator(sentences1=sentences1, sentences2=sentences2, labels=labels, name="dev")
results = evaluator(model)
""",
        MINILM,
        STS,
        IN.format("BinaryClassificationEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "similarity",
        """
evaluator = EmbeddingSimilarityEvaluator(sentences1=sentences1, sentences2=sentences2, scores=scores, name="sts_dev")
results = evaluator(model)
""",
        MINILM,
        STS,
        IN.format("EmbeddingSimilarityEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "retrieval",
        """
evaluator = InformationRetrievalEvaluator(queries=queries, corpus=corpus, relevant_docs=relevant_docs, name="test")
results = evaluator(model)
""",
        MINILM,
        RETRIEVAL,
        IN.format("InformationRetrievalEvaluator"),
        result=PRIMARY,
    ),
    evaluators("NanoBEIR", "evaluator = NanoBEIREvaluator()", IN.format("NanoBEIREvaluator"), refused=True),
    evaluators(
        "the distance to a teacher",
        """
evaluator = MSEEvaluator(source_sentences=sentences1, target_sentences=sentences2, teacher_model=model, name="dev")
results = evaluator(model)
""",
        EVALUATED,
        STS,
        IN.format("MSEEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "paraphrases",
        """
evaluator = ParaphraseMiningEvaluator(
    sentences_map={"a": "bread and butter", "b": "butter on bread", "c": "a late train", "d": "rain"},
    duplicates_list=[("a", "b")],
    name="dev",
)
results = evaluator(model)
""",
        MINILM,
        IN.format("ParaphraseMiningEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "re-ranking",
        """
evaluator = RerankingEvaluator(samples=samples, name="dev")
results = evaluator(model)
""",
        MINILM,
        SAMPLES,
        IN.format("RerankingEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "translation",
        """
evaluator = TranslationEvaluator(source_sentences=sentences1, target_sentences=sentences2, name="en-nl")
results = evaluator(model)
""",
        MINILM,
        STS,
        IN.format("TranslationEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "triplets",
        """
evaluator = TripletEvaluator(anchors=anchors, positives=positives, negatives=negatives, name="dev")
results = evaluator(model)
""",
        MINILM,
        TRIPLETS,
        IN.format("TripletEvaluator"),
        result=PRIMARY,
    ),
    evaluators(
        "several in a row",
        """
seq_evaluator = SequentialEvaluator([evaluator1, evaluator2])
results = seq_evaluator(model)
""",
        EVALUATED,
        STS,
        TRIPLETS,
        "from sentence_transformers.base.evaluation import SequentialEvaluator",
        IN.format("BinaryClassificationEvaluator, TripletEvaluator"),
        """
evaluator1 = BinaryClassificationEvaluator(sentences1, sentences2, labels, name="pairs")
evaluator2 = TripletEvaluator(anchors, positives, negatives, name="triplets")
""",
        result="seq_evaluator.primary_metric, results",
    ),
    cross(
        "classification",
        """
evaluator = CrossEncoderClassificationEvaluator(sentence_pairs=pairs * 2, labels=[0, 1, 2, 1], name="dev")
results = evaluator(model)
""",
        LABELS,
        PAIRS,
        CROSS_IN.format("CrossEncoderClassificationEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "classification with one label",
        """
evaluator = CrossEncoderClassificationEvaluator(sentence_pairs=pairs, labels=[1, 0], name="dev")
results = evaluator(model)
""",
        STSB,
        PAIRS,
        CROSS_IN.format("CrossEncoderClassificationEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "correlation",
        """
pairs = list(zip(sentences1, sentences2))
evaluator = CrossEncoderCorrelationEvaluator(sentence_pairs=pairs, scores=scores, name="dev")
results = evaluator(model)
""",
        CROSS,
        STS,
        CROSS_IN.format("CrossEncoderCorrelationEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "re-ranking of documents",
        """
evaluator = CrossEncoderRerankingEvaluator(samples=samples, name="dev", show_progress_bar=True)
results = evaluator(model)
""",
        CROSS,
        DOCUMENTS,
        CROSS_IN.format("CrossEncoderRerankingEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "re-ranking of positives and negatives",
        """
evaluator = CrossEncoderRerankingEvaluator(samples=samples, name="dev")
results = evaluator(model)
""",
        CROSS,
        SAMPLES,
        CROSS_IN.format("CrossEncoderRerankingEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "positives that were not found are no hits",
        """
evaluator = CrossEncoderRerankingEvaluator(samples=samples, name="dev", always_rerank_positives=False)
results = evaluator(model)
""",
        CROSS,
        DOCUMENTS,
        CROSS_IN.format("CrossEncoderRerankingEvaluator"),
        result=PRIMARY,
    ),
    cross(
        "NanoBEIR",
        "evaluator = CrossEncoderNanoBEIREvaluator(['msmarco', 'nfcorpus', 'nq'])",
        CROSS_IN.format("CrossEncoderNanoBEIREvaluator"),
        refused=True,
    ),
    training(
        "triplets by cosine",
        """
dev_evaluator = TripletEvaluator(
    anchors=anchors,
    positives=positives,
    negatives=negatives,
    main_similarity_function=SimilarityFunction.COSINE,
    name="all-nli-dev",
)
results = dev_evaluator(model)
""",
        EVALUATED,
        TRIPLETS,
        IN.format("TripletEvaluator, SimilarityFunction"),
        result="results",
    ),
    training(
        "similarity by cosine",
        """
dev_evaluator = EmbeddingSimilarityEvaluator(
    sentences1=sentences1,
    sentences2=sentences2,
    scores=scores,
    main_similarity=SimilarityFunction.COSINE,
    name="sts-dev",
)
results = dev_evaluator(model)
""",
        EVALUATED,
        STS,
        IN.format("EmbeddingSimilarityEvaluator, SimilarityFunction"),
        result="results",
        within=CORRELATION,
    ),
    training(
        "scores of 0 to 5, no bar",
        """
test_emb_similarity = EmbeddingSimilarityEvaluator(
    sentences1=sentences1,
    sentences2=sentences2,
    scores=[score / 5.0 for score in scores],
    batch_size=32,
    name="sts17-nl-en-test",
    show_progress_bar=False,
)
results = test_emb_similarity(model)
""",
        EVALUATED,
        STS,
        IN.format("EmbeddingSimilarityEvaluator"),
        result="results",
        within=CORRELATION,
    ),
    training(
        "the distance to a teacher in batches",
        """
dev_mse = MSEEvaluator(
    source_sentences=sentences1,
    target_sentences=sentences2,
    name="en-fr-dev",
    teacher_model=teacher_model,
    batch_size=32,
)
results = dev_mse(model)
""",
        EVALUATED,
        STS,
        "teacher_model = model",
        IN.format("MSEEvaluator"),
        result="results",
    ),
    training(
        "greetings in several languages",
        "similarities = model.similarity(embeddings, embeddings)",
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2")
embeddings = model.encode(["Good morning", "Guten Morgen", "Bonjour", "rain"])
""",
    ),
    training(
        "a query with documents",
        """
query_embedding = model.encode_query(query)
document_embedding = model.encode_document(corpus)
similarity = model.similarity(query_embedding, document_embedding)
""",
        TINY,
        BAKERY,
    ),
    training(
        "a model to fine-tune, in float32",
        """
model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", model_kwargs={"torch_dtype": "float32"})
""",
        "from sentence_transformers import SentenceTransformer",
        THREE,
        result="model.encode(sentences)",
    ),
    training(
        "a trainer",
        "trainer = SentenceTransformerTrainer(model=model)",
        TINY,
        "from sentence_transformers import SentenceTransformerTrainer",
        kind="training",
    ),
    training(
        "its arguments",
        "args = SentenceTransformerTrainingArguments(output_dir='models')",
        "from sentence_transformers import SentenceTransformerTrainingArguments",
        kind="training",
    ),
    training(
        "a loss",
        "loss = MultipleNegativesRankingLoss(model)",
        TINY,
        "from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss",
        kind="training",
    ),
    training(
        "hard negatives",
        "mine_hard_negatives(None, model)",
        TINY,
        "from sentence_transformers.util import mine_hard_negatives",
        kind="training",
    ),
    training("the old fit", "model.fit(train_objectives=[])", TINY, kind="training"),
    training(
        "a model card",
        'SentenceTransformerModelCardData(language="en")',
        "from sentence_transformers import SentenceTransformerModelCardData",
        kind="training",
    ),
]
