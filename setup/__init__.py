"""Gets the program running on a bare Python: the `.venv` folder, what is installed in it, and the doctor.

Standard library only at import, because it runs before anything is installed.
"""
