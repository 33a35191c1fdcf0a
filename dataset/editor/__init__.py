"""The tag editor's view of a data set: its captions as a table in memory, with everything that can be done to them."""
