"""The house's rules on size and documentation: short files, short functions, and an example of each public one."""

import ast
import inspect
import io
import re
import tokenize

import pytest
from modules_of_package import FILES, MODULES, TREES
from places import ROOT


def code_lines(source):
    """Line numbers that hold code: no docstrings, comments or blank lines."""
    lines = set()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    skip = {*layout, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.ENCODING}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_the_encoder_is_short():
    """And as short as README says."""
    lines = len(code_lines(FILES["minembed.transformer.encoder"].read_text(encoding="utf-8")))
    said = re.search(r"in (\d+) lines of code", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert lines <= 80 and lines == int(said.group(1))


MOST_ARGUMENTS = 12
MANY_ARGUMENTS = {"minembed.models.embedder.encode"}  # the one place where its options are written out


def arguments(function):
    a = function.args
    names = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if arg is not None]
    return [name for name in names if name not in ("self", "cls")]


def is_command(function):
    return any(ast.unparse(decorator).split("(")[0].endswith(".command") for decorator in function.decorator_list)


def room_of(name):
    return ".".join(name.split(".")[:2])


ROOMS = sorted({room_of(name) for name in FILES})  # a test a room: of thousands of tests, being one has a price


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "minembed.kernels"])
def test_functions_take_few_arguments(room):
    """Commands take one for each of their options; kernels have no keywords and no bundles that cost nothing."""
    if room == "minembed.sentence_transformers":
        return  # signatures are the reference's: tests/dropin/test_signatures.py
    for name in FILES:
        if room_of(name) == room:
            assert_few_arguments(name)


def assert_few_arguments(name):
    functions = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef)]
    counted = [node for node in functions if not (name.startswith("minembed.cli") and is_command(node))]
    many = {f"{name}.{node.name}" for node in counted if len(arguments(node)) > MOST_ARGUMENTS}
    assert many == {allowed for allowed in MANY_ARGUMENTS if allowed.rpartition(".")[0] == name}, name


@pytest.mark.parametrize("room", ROOMS)
def test_files_and_functions_are_short(room):
    for name in FILES:
        if room_of(name) == room:
            assert_short(name)


def assert_short(name):
    source = FILES[name].read_text(encoding="utf-8")
    lines = code_lines(source)
    assert len(lines) <= 300, f"{name} has {len(lines)} lines of code: two ideas in one room?"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            body = lines & set(
                range(node.body[0].lineno, node.end_lineno + 1)
            )  # a signature of many options is no code
            assert len(body) <= 40, f"{name}.{node.name} has {len(body)} lines of code"


def public_functions():
    for name, module in MODULES.items():
        if name.startswith("minembed.cli"):
            continue  # commands: their examples are in the guide
        for attribute, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == name and not attribute.startswith("_"):
                yield f"{name}.{attribute}", value


# functions that emit LLVM's language, that work on pointers inside compiled code alone, or that are about code compiled
# and kept: what they do cannot be shown in a line of Python; tests/test_kernel_*.py show them at work
COMPILED = {
    f"minembed.kernels.{name}"
    for name in (
        *(
            "vectors.simd",
            "vectors.vector",
            "vectors.emit",
            "tiles.dot",
            "tiles.registers",
            "compiled.cache",
            "compiled.ahead_of_time",
            "ahead.building",
            "ahead.small_objects",
            "ahead.emission",
            "ahead.platforms",
            "helpers",
        ),
        *(
            "encoder.gemm",
            "encoder.attention",
            "encoder.elementwise",
            "encoder.run",
            "encoder.layer",
            "encoder.selftest",
        ),
        *("encoder.sharing", "encoder.activations", "encoder.embeddings", "encoder.heads"),
        *("topk.scan", "topk.dot_bytes", "training.operations", "training.optimizer"),
    )
}
# functions whose example needs a checkpoint, a network or an extra; the guide and the tests show them at work
NEED_A_MODEL = {
    "minembed.runtime.backend": {"prepare"},
    "minembed.kernels.encoder.packing": {
        *("by_heads", "pack", "layer_vectors", "pack_embeddings", "numpy_embeddings", "release")
    },
    "minembed.kernels.encoder.tiled.packing": {
        *("by_heads", "pack", "layer_weights", "layer_vectors", "pack_vectors", "scaled_patterns")
    },
    "minembed.kernels.encoder.tiled.tiled_encoder": {"restore", "of_floats", "pack_encoder"},
    "minembed.kernels.encoder.by_length": {"by_length"},
    "minembed.search.topk": {"rank"},
    "minembed.search.index_cache": {"index_of", "vectors_of", "kept_vectors"},
    "minembed.kernels.topk.tier": {"scan", "rescore"},
    "minembed.kernels.native_tier": {"prepare", "scan", "rescore", "update", "replay", "step_operations"},
    "minembed.kernels.ahead.wheels": {"clean_copy", "make_wheel", "check_wheel", "main"},
    "minembed.kernels.encoder.tier": {
        "prepare",
        "pack_encoder",
        "pack_on_vectors",
        "on_tiles",
        "compile_kernels",
        "is_compiled",
    },
    "minembed.kernels.tiles.amx": {"operation", "on_tiles"},
    "minembed.kernels.libraries": {"read_libraries", "open_library"},
    "minembed.kernels.vectors.detect": {"x86_features", "detect_target"},
    "minembed.transformer.encoder": {
        *("embed", "normalize", "feed_forward", "self_attention", "transformer_layer", "encode")
    },
    "minembed.transformer.tier": {"prepare"},
    "minembed.models.engine": {"find_prompt", "report_truncation"},
    "minembed.models.changed": {"capped", "with_settings", "reranker_with_limit"},
    "minembed.sentence_transformers.cross_encoder.saving": {"save_folder"},
    "minembed.sentence_transformers.stored": {"load_as_asked"},
    "minembed.sentence_transformers.sentence_transformer.features": {
        "features_of",
        "computed",
        "read",
        "states_of",
        "vectors_of",
    },
    "minembed.sentence_transformers.base.arguments": {"heeds_processing"},
    "minembed.models.static": {"prepare"},
    "minembed.models.loading": {"with_limit", "load_tokenizer", "load_static_tokenizer", "fastest", "prepare_encoder"},
    "minembed.train.backward.vjp": {
        *("embed_vjp", "normalize_vjp", "feed_forward_vjp", "self_attention_vjp"),
        *("transformer_layer_vjp", "encode_vjp"),
    },
    "minembed.maps.groups": {"kmeans", "hdbscan"},
    "minembed.maps.page": {"page", "describe", "fitted"},
    "minembed.maps.projection": {"tsne", "umap"},
    "minembed.maps.heat": {"draw_heat"},
    "minembed.maps.picture": {
        "draw",
        "figure",
        "settings",
        "save",
        "scatter",
        "legend",
        "note",
        "group_names",
        "write",
    },
    "minembed.train.masking": {"words_of"},
    "minembed.train.contrastive": {"train_contrastive", "identity"},
    "minembed.train.evaluation": {"evaluate", "sts_score", "retrieval_score"},
    "minembed.train.masked_lm": {"train_masked_lm", "masked_loss", "held_out"},
    "minembed.train.step": {"contrastive_gradients", "masked_gradients"},
    "minembed.train.trainer": {"train"},
    "minembed.search.index_saving": {"publish"},
    "minembed.search.index_model": {"name_of", "probe", "facts_of", "check_model"},
    "minembed.serve.app": {"respond"},
    "minembed.serve.lanes": {"dealt_out"},
    "minembed.serve.openai": {"facts_of"},
    "minembed.serve.loading": {"load_models"},
    "minembed.serve.asking": {"vector_options", "job_of"},
    "minembed.serve.openapi": {"document"},
    "minembed.serve.tei": {"facts_of", "unit"},
    "minembed.serve.server": {"assemble", "run", "config_of"},
    "minembed.serve.table": {"table_of"},
    "minembed.weights.sources.cache": {
        *("own_folder", "find_own", "hub_caches", "find_in_hub_caches", "find_in_hub_cache"),
        *("shortcoming", "publish"),
    },
    "minembed.weights.directory": {"read_checkpoint"},
    "minembed.weights.families": {"find_family", "read_config", "read_params", "match"},
    "minembed.weights.families.bert": {"read_config", "read_roberta", "read_electra"},
    "minembed.weights.families.gemma": {"read_config", "fold"},
    **{
        f"minembed.weights.families.{name}": {"read_config"}
        for name in ("albert", "distilbert", "gte", "jina", "modernbert", "mpnet", "nomic", "qwen")
    },
    "minembed.runtime.files": {"staging"},
    "minembed.runtime.disk_errors": {"disk_error"},
    "minembed.runtime.json_files": {"no_duplicates", "read_json", "read_json_value", "optional_json"},
    "minembed.weights.cross_encoder": {"read_cross_encoder"},
    "minembed.weights.heads": {"read_classifier", "read_masked"},
    "minembed.models.fill_mask": {"special_id"},
    "minembed.jobs.folder": {"working_in", "check_own", "begin", "missing_shards", "finish"},
    "minembed.jobs.inputs": {"open_inputs"},
    "minembed.jobs.indexing": {"check_searchable", "rows_of"},
    "minembed.jobs.local": {"make_shards"},
    "minembed.jobs.on_ray": {"cluster", "slots_of", "make_on_ray", "order_of", "node_name"},
    "minembed.jobs.running": {"embed_inputs"},
    "minembed.jobs.model_files": {"digest_of"},
    "minembed.jobs.plan": {"check_same"},
    "minembed.jobs.planning": {"plan_job", "facts_asked"},
    "minembed.jobs.reuse": {"known_vectors", "reusing"},
    "minembed.jobs.shards": {"write_shard", "with_ids", "read_facts", "vectors_in"},
    "minembed.jobs.survey": {"survey"},
    "minembed.study.gradients": {"grad"},
    "minembed.study.deleting": {"of_embedder", "of_reranker"},
    "minembed.study.parts": {"begin", "begin_wide", "vectors_of_parts", "side_of"},
    "minembed.study.integrated": {"vectors_of_tokens", "parts_of_score"},
    "minembed.study.graph": {"graph_of", "score_graph", "vector_steps"},
    "minembed.study.saving": {"save_trace"},
    "minembed.study.exercises.calls": {
        *("each", "scores", "of_input", "embed", "positions", "split_heads", "attend", "add_and_norm", "layer_norm"),
        *("quantize", "pool", "mean_pool", "slopes"),
    },
    "minembed.study.exercises.exercise": {"in_place_of"},
    "minembed.study.exercises.runner": {"traces_of", "run"},
    "minembed.study.report.contents": {"explained", "heads_of", "attention_of", "notes_of", "described"},
    "minembed.study.report.corpus": {"corpus_of", "error_of"},
    "minembed.study.report.page": {"page", "facts_of", "level_of", "attention_of"},
    "minembed.study.report.packing": {"facts_block"},
    "minembed.weights.sources.hub": {"fetch"},
    "minembed.weights.sources.mirror": {"fetch"},
    "minembed.weights.sources.pip_download": {"download"},
    "minembed.weights.sources.unpacking": {"unpack"},
    "minembed.weights.adapters": {"merged"},
    "minembed.weights.bases": {"find_here"},
    "minembed.weights.lora": {"read_lora"},
    "minembed.weights.layout": {"build", "shapes", "tensors"},
    "minembed.weights.quantized": {"save", "read", "quantized_layout"},
    "minembed.weights.static": {"read_static", "read_table", "write_settings"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_are_documented_by_an_example(room):
    for name, function in public_functions():
        module, _, own = name.rpartition(".")
        if room_of(module) == room:
            assert function.__doc__, f"{name} has no docstring"
            if module not in COMPILED and own not in NEED_A_MODEL.get(module, ()):
                assert ">>>" in function.__doc__, f"{name} has no example"
