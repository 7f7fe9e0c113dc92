"""The local executor: worker processes of this machine, and the messages from them."""
