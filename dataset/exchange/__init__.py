"""Data sets from and for other programs. A new format is a new file in `formats/`, and nothing else.

Whatever a format looks like on disk, it is read into records (`record.Record`: a picture, its name, its caption) and
written from them, so that any one can be made into any other.
"""
