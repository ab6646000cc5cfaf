"""What each key that transformers 5 saves in tokenizer_config.json does to ids.

do_lower_case, strip_accents,       used by the classes like BERT's; the first by ALBERT too
tokenize_chinese_chars
keep_accents                        used by ALBERT
add_prefix_space                    used by RoBERTa and Qwen (false by default), and by XLM-R, CamemBERT and ALBERT
                                    (true by default)
cls_token, sep_token                used by BERT, MPNet and RoBERTa: put around a text
bos_token, eos_token                the same for XLM-R and CamemBERT
unk_token                           used by BERT, MPNet, CamemBERT and Gemma
the same, mask_token, pad_token,    become added tokens (minembed.text.added_tokens), as do added_tokens_decoder,
any other ..._token                 extra_special_tokens and additional_special_tokens
split_special_tokens                used: special tokens in a text are then split like any other word
truncation_side                     used, in preference to that of tokenizer.json
model_max_length                    a limit of the length (minembed.weights.directory)
model_input_names                   used: without token_type_ids both sides of a pair have the type 0
tokenizer_class                     the class whose rules apply (minembed.text.built); for an unknown one, or
                                    PreTrainedTokenizerFast, tokenizer.json as it is; one whose tokenizer is not
                                    supported is refused
init_inputs, fix_mistral_regex      refused unless empty
add_bos_token, add_eos_token        no effect: tokenizer.json, or the class, says what is put around a text
padding_side, pad_token_type_id,    no effect: nothing is padded
pad_to_multiple_of, max_length
stride, truncation_strategy         no effect: sentence-transformers gives its own in every call
never_split, do_basic_tokenize,     no effect on ids: only for tokenizers in Python, for decoding ids to text, or about
legacy, use_fast, errors, backend,  where the files came from
trim_offsets, chat_template, clean_up_tokenization_spaces, auto_map, is_local, name_or_path, processor_class
"""

from pathlib import Path

from minembed.errors import ConfigError, UnsupportedModelError
from minembed.text.settings import Settings


def refuse_settings(settings: Settings, place: Path) -> None:
    """Raise UnsupportedModelError for settings that are not supported here and might change ids.

    >>> refuse_settings({"init_inputs": []}, Path("tokenizer_config.json"))
    """
    for key in ("init_inputs", "fix_mistral_regex"):
        if settings.get(key):
            raise UnsupportedModelError(f"{place}: {key} = {settings[key]!r} is not supported; remove it")
    for key in ("add_bos_token", "add_eos_token"):
        flag(settings, key, False, place)  # a text there would be one more special token


def flag(settings: Settings, key: str, default: bool, place: Path) -> bool:
    """The value of a flag: true, false, or the default if it is not given; raises ConfigError for anything else.

    >>> flag({"add_prefix_space": None}, "add_prefix_space", False, Path("tokenizer_config.json"))
    False
    """
    value = settings.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{place}: {key} must be true or false, not {value!r}")
    return default if value is None else value
