"""Settings of kohya_ss and sd-scripts as ours, with a report of what became of each of theirs.

A setting's own `Ui(kohya=...)` says which of their arguments it is. Only what means something else, or is written
otherwise, has a rule: a function in one of the modules here that takes it out of the pile before that.
"""
