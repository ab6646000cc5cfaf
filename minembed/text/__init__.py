"""From str to tokens: tokenizers, vocabularies, special tokens, long texts, and chunks of documents."""
