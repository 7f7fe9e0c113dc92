"""The parts of the report, a module per topic: when each is shown, its caption, its chart."""
