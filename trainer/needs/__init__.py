"""What a run needs of memory and disk, asked before it begins, and what helps where there is too little."""
