"""How much of the variance is due to init and order."""
