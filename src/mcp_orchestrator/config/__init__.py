"""Files in, a compiled snapshot out: reading, checking, explaining and comparing configurations."""
