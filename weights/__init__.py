"""Find a model by name or folder, and read and write its checkpoint."""
