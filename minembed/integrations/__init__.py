"""Models in other people's frameworks, one file each; a framework is imported with its file, and no sooner.

    from minembed.integrations.langchain import MinembedEmbeddings

All take the settings of `Embedder.load` and `Embedder.encode` under the same names, and give the vectors of `encode`,
bit for bit: `minembed.integrations.settings`.  Where a framework is not installed, importing its file raises
MissingExtraError, which names what to install.
"""
