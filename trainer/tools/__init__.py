"""What is done with LoRA files after training: told what they are, and written under other programs' names."""
