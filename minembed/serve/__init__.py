"""An HTTP server: OpenAI's and text-embeddings-inference's interfaces on one small process.

Read it in this order: `queue` (what waits, and what is computed together), `workers` (the threads that compute),
`lanes` and `served` (how a model is asked), `request`, `guard` and `app` (how a request is read, checked and answered),
then one file an interface: `openai`, `tei`, `rerank`, `search_route`, `status`; and `server`, which runs it all.
"""
