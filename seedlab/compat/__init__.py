"""Private interfaces of other libraries, one module per library and one wrapper per interface.

No other module uses them. Each wrapper has a canary test in `tests/compat`: a new release
of a library then breaks a test that names the wrapper. The package stands below all others
and imports none of them.
"""
