"""How a pack is computed: the serial engine is the specification."""
