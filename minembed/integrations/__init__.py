"""Models for other frameworks, one file per framework, which is imported only with its file.

    from minembed.integrations.langchain import MinembedEmbeddings

All accept the settings of `Embedder.load` and `Embedder.encode` under the same names, and give the vectors of `encode`,
bit for bit: `minembed.integrations.settings`.  If a framework is not installed, importing its file raises
MissingExtraError, which says what to install.
"""
