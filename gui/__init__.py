"""The window: a Gradio page behind our own gate. It reads job folders and writes settings; it never imports torch."""
