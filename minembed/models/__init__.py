"""What a user loads: Embedder, Reranker, MaskFiller and static embeddings, and the engine behind them."""
