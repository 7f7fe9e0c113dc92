"""How a pack is computed: the serial engine is the specification."""

ENGINES = {
    "serial": "seedlab.engines.serial.engine:SerialEngine",
    "packed": "seedlab.engines.packed.engine:PackedEngine",
}
"""Names of the engines and where their classes are, imported when they are first used."""
