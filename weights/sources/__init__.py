"""From the name of a model to its folder: local caches, the Hub, the package mirror."""
