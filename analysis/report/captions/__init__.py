"""Numbers turned into sentences below figures."""
