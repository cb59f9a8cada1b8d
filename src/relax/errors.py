"""Errors that speak to the user: one sentence that says what is wrong, where, and what to do."""


class RelaxError(Exception):
    """A mistake or an event that the user can act on; shown as one message, without a traceback."""


class ConfigError(RelaxError):
    """A key or value of the configuration that is not allowed."""


class ArgumentError(RelaxError, ValueError):
    """An argument, or what a function that was handed in returned, that the library cannot take."""


class NonFiniteError(RelaxError):
    """A run whose cost or gradient stopped being finite."""


class DataError(RelaxError):
    """A data file that is missing, damaged, or not what it should be."""


class Interrupted(RelaxError):
    """A run that was asked to stop, and has saved what it had."""
