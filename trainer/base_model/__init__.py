"""The base model that a run begins from: found and told apart by its files, made smaller in memory, known by hash."""
