"""Teaches a base model something new: config says what, plan counts it, loop does it."""
