"""Rules that decide while runs are trained; live code uses them too."""
