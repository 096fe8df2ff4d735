"""Nouns: frozen dataclasses on the standard library alone; no behaviour, no input or output."""
