"""What a setting is: one annotated field, from which form, flag, TOML key, help, documentation and check follow."""
