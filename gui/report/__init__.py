"""A run told in one HTML file that needs no other: to keep, to send, to look at without the program."""
