"""A job is a folder: whoever wants work done writes into it, the worker appends to it, and anyone may read it."""
