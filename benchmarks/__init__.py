"""Where the README's figures come from. Each prints a ratio measured side by side in one run."""
