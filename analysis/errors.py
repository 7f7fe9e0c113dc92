"""The errors that analysis raises on purpose: one root, and one class per thing to correct.

Everything else that an array function refuses (shapes, lengths) is a plain `ValueError`.
"""


class AnalysisError(ValueError):
    """Analysis refuses its input; the message is written for users.

    The root of every deliberate refusal: a command line catches this class and
    prints the message. It is a `ValueError`, so that notebooks may catch either.
    """


class TableError(AnalysisError):
    """A table is not readable as a study, or lacks the data that a result needs.

    The message names the row, the column and the remedy.
    """


class DesignError(AnalysisError):
    """The runs present do not determine the estimate: too few, or in too few cells."""


class OptionError(AnalysisError):
    """An option is outside its range; the message names the value and the allowed ones."""
