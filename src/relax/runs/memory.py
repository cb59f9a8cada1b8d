"""Memory that is freed and wanted again a moment later, as every step's tensors are."""

import ctypes

# Settings of glibc's `mallopt`, by their numbers in malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
AHEAD = 2**26  # bytes to take at once where the process has none left


def keep_freed_memory():
    """Have what is freed kept for the tensors to come; whether that is done.

    By itself glibc gives large blocks back to the system, and the next tensor of that size gets
    fresh pages, each of which faults and is zeroed: with tensors of megabytes as much time as the
    arithmetic on them. A process that keeps them has its peak of memory until it ends, which is
    what a job is planned by. That holds where the same sizes come again; where they do not, see
    `give_back_freed_memory`. No number depends on it. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wanted = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: AHEAD, MMAP_MAX: 0}
    return {mallopt(name, value) for name, value in wanted.items()} == {1}


def give_back_freed_memory():
    """Give the system back every free page; whether there were any.

    Blocks of ever other sizes, as of episodes with as many frames as it takes, do not fit into the
    gaps that earlier ones left between what stays (a physics engine's worlds, say): the gaps add
    up without end. This empties them. It takes milliseconds, and glibc.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    return bool(trim(0))
