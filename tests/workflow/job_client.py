"""What Snakemake takes for Python, where jobs are forked (`job_starter.py`): hands over a script.

Arguments: the real Python, the name of the starter's socket, and what Python was called with. Of
anything but a script the real Python is called. Imports next to nothing: every job waits for it.
"""

import _socket
import marshal
import posix
import sys

python, address, *arguments = sys.argv[1:]
if not arguments or arguments[0].startswith("-"):
    posix.execv(python, [python, *arguments])
start = marshal.dumps((arguments, posix.getcwd(), dict(posix.environ)))
files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
connection = _socket.socket(_socket.AF_UNIX)
connection.connect("\0" + address)
size = len(start).to_bytes(4, "big")
connection.sendmsg([size], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
connection.sendall(start)
status = connection.recv(1)
posix._exit(status[0] if status else 1)
