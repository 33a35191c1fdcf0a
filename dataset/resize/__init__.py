"""Copies of pictures at the sizes that training wants, with captions and masks; the pictures themselves stay."""
