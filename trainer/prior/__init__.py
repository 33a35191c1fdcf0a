"""Prior preservation: pictures of the class, or the base model's own answer, keep the rest of the model as it is."""
