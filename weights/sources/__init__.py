"""Find the folder of a model by its name: in local caches, on the Hub, or on the package mirror."""
