"""Seconds of several contestants, taken in turn: a slow moment is then everybody's.

They are the processor's seconds of the one thread that computes, so that other work on the machine
is not in them.
"""

import statistics
import time


def in_turns(contestants, rounds):
    """The median seconds of each contestant's call, and the quartiles: {name: (median, low, high)}.

    Rounds go alternately forwards and backwards. A first round warms up and is not counted.

    Args:
        contestants: {name: function of no arguments}.
        rounds: how often each is timed, two or more.
    """
    seconds = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            begun = time.thread_time()
            contestants[name]()
            if number:
                seconds[name].append(time.thread_time() - begun)
    return {name: _quartiles(taken) for name, taken in seconds.items()}


def _quartiles(taken):
    low, middle, high = statistics.quantiles(taken, n=4)
    return middle, low, high
