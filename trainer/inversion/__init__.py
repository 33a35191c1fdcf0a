"""Textual inversion: new words as rows behind a text encoder's table, and the files that hold them."""
