"""From a name or a folder to parameters."""
