"""The built-in world: what it looks like, its small model, and measures of what a picture shows."""
