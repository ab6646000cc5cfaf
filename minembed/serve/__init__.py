"""An HTTP server: the interfaces of OpenAI and text-embeddings-inference in one small process.

Read it in this order: `queue` (waiting jobs, and batching them), `workers` (the threads that compute), `lanes` and
`served` (how a model is called), `request`, `guard` and `app` (how a request is read, checked and answered), then one
file per interface: `openai`, `tei`, `rerank`, `search_route`, `status`; and `server`, which runs everything.
"""
