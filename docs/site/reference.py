"""The pages of the reference: names for mkdocstrings, and the help of every command."""

import click

from minembed.cli import main

FUNCTIONS_OF_SEARCH = ("top_k", "cosine_similarity", "semantic_search", "paraphrase_mining")
FUNCTIONS_OF_SEARCH += ("paraphrase_mining_embeddings", "near_duplicates", "deduplicate", "community_detection")
FRAMEWORKS = ("langchain", "llama_index", "haystack", "chroma", "sklearn", "bertopic", "keybert", "mteb", "txtai")
CHAPTERS = ("encoder", "ops", "attention", "positions", "pooling", "modules", "vectors", "tokens", "params")
CHAPTERS += ("config", "operations", "heads", "matmul", "quantization", "tier")

PAGES = {  # file: title, first sentence, names
    "models": (
        "Models",
        "Load a checkpoint and turn texts into vectors, scores or words.",
        ("minembed.Embedder", "minembed.Reranker", "minembed.models.fill_mask.MaskFiller"),
    ),
    "remote": (
        "A model behind a URL",
        "What `Embedder.connect` returns.",
        ("minembed.models.remote.RemoteEmbedder",),
    ),
    "search": (
        "Search",
        "Exact search and what is built on it.",
        ("minembed.Index", "minembed.search.hits.Hit", *(f"minembed.{name}" for name in FUNCTIONS_OF_SEARCH)),
    ),
    "texts": (
        "Texts and vectors",
        "Long texts in chunks, a batch of tokens, smaller vectors.",
        (
            "minembed.Chunk",
            "minembed.chunk_text",
            "minembed.transformer.tokens.Tokens",
            "minembed.quantize_embeddings",
            "minembed.truncate_embeddings",
        ),
    ),
    "training": (
        "Training",
        "Fine-tune a model, or train one from nothing.",
        (
            *(f"minembed.train.{name}" for name in ("Trainee", "Settings", "Examples")),
            *(f"minembed.train.{name}" for name in ("train_contrastive", "train_masked_lm", "new_model")),
            "minembed.train.losses",
        ),
    ),
    "evaluation": (
        "Evaluation",
        "Measure a model against judgements of people.",
        ("minembed.evaluation.pairs", "minembed.evaluation.retrieval"),
    ),
    "maps": (
        "Maps and clusters",
        "Vectors as a picture, and in groups.",
        (
            *(f"minembed.maps.{name}" for name in ("Map", "Clusters", "cluster", "Groups", "Projection", "project")),
            *("minembed.maps.Trust", "minembed.maps.measure", "minembed.maps.pca.pca"),
        ),
    ),
    "jobs": (
        "Jobs",
        "Corpora that take hours.",
        tuple(
            f"minembed.jobs.{name}"
            for name in ("embed", "status", "index", "update_index", "Report", "State", "Update")
        ),
    ),
    "integrations": (
        "Integrations",
        "A model in other frameworks.",
        ("minembed.integrations.settings", *(f"minembed.integrations.{name}" for name in FRAMEWORKS)),
    ),
    "errors": ("Errors and warnings", "Every exception is a `MinembedError`.", ("minembed.errors",)),
    "book": (
        "The encoder, function by function",
        "The rooms of `minembed/transformer`, in reading order, with their source.",
        tuple(f"minembed.transformer.{name}" for name in CHAPTERS),
    ),
}
WITH_SOURCE = ("book",)
WITH_INHERITED = ("search",)  # some methods of Index are in its base class


def pages() -> dict[str, str]:
    """Every generated page of the reference, by its place on the site."""
    made = {f"reference/{file}.md": api_page(file, *page) for file, page in PAGES.items()}
    rows = [f"| [{title}]({file}.md) | {first} |" for file, (title, first, _) in PAGES.items()]
    rows.append("| [Command line](command-line.md) | Every command and its options. |")
    head = ["# API reference", "", "Written from the docstrings, whose examples are run by the tests.", ""]
    index = "\n".join([*head, "| page | what |", "|---|---|", *rows, ""])
    return made | {"reference/index.md": index, "reference/command-line.md": command_page()}


def api_page(file: str, title: str, first: str, shown: tuple[str, ...]) -> str:
    """One page: an instruction to mkdocstrings for each name."""
    options = f"\n    options:\n      show_source: {str(file in WITH_SOURCE).lower()}\n"
    options += f"      inherited_members: {str(file in WITH_INHERITED).lower()}\n"
    return f"# {title}\n\n{first}\n\n" + "\n".join(f"::: {name}{options}" for name in shown)


def command_page() -> str:
    """The help of every command, as the terminal shows it."""
    parts = ["# Command line", "`minembed COMMAND --help` prints the same.", *helps(main, "minembed", None)]
    return "\n\n".join(parts) + "\n"


def helps(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """The help of a command and of those below it."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    parts = [f"## {context.command_path}", f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            parts += helps(found, below, context)
    return parts
