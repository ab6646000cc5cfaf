"""The settings beside tokenizer.json: the class of transformers that reads the folder, and its special tokens."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import TokenizationError
from minembed.runtime.json_files import unsound
from minembed.runtime.paths import read_regular

T = TypeVar("T")
Settings = Mapping[str, Any]
LARGEST_FILE = 512 << 20  # bytes: ten times the largest tokenizer.json that is known
BERT_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>"}
ROBERTA_TOKENS |= {"mask": "<mask>"}
MPNET_TOKENS = ROBERTA_TOKENS | {"unk": "[UNK]"}
ALBERT_TOKENS = BERT_TOKENS | {"bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"}
GEMMA_TOKENS = {"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
# the classes of transformers that rebuild their tokenizer, and the special tokens that each has unless a file names
# others; every other class uses tokenizer.json as it is
WORD_PIECE = {
    "BertTokenizer": BERT_TOKENS,
    "DistilBertTokenizer": BERT_TOKENS,
    "ElectraTokenizer": BERT_TOKENS,
    "MPNetTokenizer": MPNET_TOKENS,
}
BYTE_BPE = {"RobertaTokenizer": ROBERTA_TOKENS}
CLASS_TOKENS = {
    **WORD_PIECE,
    **BYTE_BPE,
    "XLMRobertaTokenizer": ROBERTA_TOKENS,
    "CamembertTokenizer": ROBERTA_TOKENS,
    "AlbertTokenizer": ALBERT_TOKENS,
    "GemmaTokenizer": GEMMA_TOKENS,
    "Qwen2Tokenizer": dict.fromkeys(("unk", "eos", "pad"), "<|endoftext|>"),
}
CLASS_MODELS = {  # the model that each class builds
    **dict.fromkeys(WORD_PIECE, "WordPiece"),
    **dict.fromkeys((*BYTE_BPE, "GemmaTokenizer", "Qwen2Tokenizer"), "BPE"),
    **dict.fromkeys(("XLMRobertaTokenizer", "CamembertTokenizer", "AlbertTokenizer"), "Unigram"),
}
ALIASES = {  # other names of these classes
    **dict.fromkeys(("SqueezeBert", "MobileBert", "LayoutLM", "ConvBert"), "BertTokenizer"),
    **dict.fromkeys(("DPRContextEncoder", "DPRQuestionEncoder", "DPRReader"), "BertTokenizer"),
    **dict.fromkeys(("Bart", "Longformer"), "RobertaTokenizer"),
}
# classes whose tokenizers are not supported here, or that run in Python whatever tokenizer.json says
OTHERS = frozenset(
    """Barthez Bartpho BertGeneration BertJapanese Bertweet BigBird BioGpt Blenderbot BlenderbotSmall ByT5 Canine CLIP
    CodeGen CodeLlama Cohere Cpm Deberta DebertaV2 Esm Flaubert Funnel GPT2 GPTNeoX Herbert LayoutLMv2 LayoutLMv3
    LayoutXLM Llama Luke M2M100 Marian MarkupLM MBart MBart50 MLuke MyT5 Nllb Nougat OpenAIGPT Pegasus Phobert PLBart
    ProphetNet Reformer RemBert RoCBert SeamlessM4T Siglip Siglip2 Splinter T5 Tapas Udop Whisper XGLM XLM
    XLNet""".split()
)
CLASSES = {  # by model_type, for folders that name no class
    **dict.fromkeys(("bert", "distilbert", "electra", "nomic_bert"), "BertTokenizer"),
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    **dict.fromkeys(("xlm-roberta", "gte"), "XLMRobertaTokenizer"),
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
    "gemma3_text": "GemmaTokenizer",
    "qwen3": "Qwen2Tokenizer",
}


def ask(method: Callable[..., T], *arguments: Any) -> T:
    """Call into the reference; any failure there, panics included, becomes a TokenizationError.

    >>> ask(len, [1, 2])
    2
    """
    try:
        return method(*arguments)
    except BaseException as e:  # a Rust panic derives from BaseException
        if isinstance(e, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit):
            raise
        raise TokenizationError(f"the tokenizer failed ({e}); its tokenizer.json is damaged or incomplete") from e


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if the file does not exist.

    Raises TokenizationError if the file holds anything else.

    >>> read_settings(Path("none/tokenizer_config.json"))
    {}
    """
    if not path.exists():
        return {}
    content = b""
    try:
        content = read_regular(path, LARGEST_FILE)
        value = json.loads(content.decode("utf-8"))
    except OSError as e:
        raise TokenizationError(f"{path} cannot be read ({e.strerror})") from e
    except (ValueError, RecursionError) as e:
        raise TokenizationError(f"{path} {unsound(content, e)}") from e
    if not isinstance(value, dict):
        raise TokenizationError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def class_name(settings: Settings, path: Path) -> str | None:
    """The class of transformers that reads the folder, without the suffix Fast; None if no file names one.

    >>> class_name({"tokenizer_class": "BertTokenizerFast"}, Path("none/tokenizer.json"))
    'BertTokenizer'
    """
    config = read_settings(path.with_name("config.json"))
    kind = config.get("model_type")
    if kind == "modernbert":  # the class that its files name is often wrong
        return "TokenizersBackend"
    for named in (settings.get("tokenizer_class"), config.get("tokenizer_class")):
        if isinstance(named, str) and named:
            name = named.removesuffix("Fast")
            return ALIASES.get(name.removesuffix("Tokenizer"), name)
    return CLASSES.get(kind, f"the tokenizer of {kind}") if isinstance(kind, str) else None
