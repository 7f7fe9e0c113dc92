"""Pre-trained weights, what is newly initialised, dropout, parameter groups."""
