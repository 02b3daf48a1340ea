"""Mesh files: a reader and a writer for each format; `load` and `save` choose between them by the suffix."""
