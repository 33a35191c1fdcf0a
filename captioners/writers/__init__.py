"""What the captioners that write sentences have in common: prompts, how words are chosen, loading, cleaning up."""
