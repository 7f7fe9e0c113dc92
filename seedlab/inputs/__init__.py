"""The data and the pre-trained weights of a run: loading and content hashes."""
