"""How a pack is computed: the serial engine is the specification."""

ENGINES = {
    "serial": "seedlab.engines.serial:SerialEngine",
    "packed": "seedlab.engines.packed:PackedEngine",
}
"""Names of the engines and where their classes are, imported when they are first used."""
