"""What is wrong with a data set, what that does to training and what to do: found before hours are spent on it."""
