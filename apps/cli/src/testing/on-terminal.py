"""Runs a command on a terminal of its own, types what a script says, and ends with its exit status.

Argument: JSON {"command": [...], "columns": n, "steps": [{"when": regular expression, "type": text}, ...]}.
What the command writes goes to standard output as it is. Steps that were never reached end it with status 99.
"""

import codecs
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios

spec = json.loads(sys.argv[1])
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, spec["columns"], 0, 0))
    os.execvp(spec["command"][0], spec["command"])

decoder = codecs.getincrementaldecoder("utf-8")("replace")
steps = spec["steps"]
unread = ""
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        # EIO: nobody has the terminal open any more (pty(7)).
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    unread += decoder.decode(data)
    while steps:
        match = re.search(steps[0]["when"], unread)
        if match is None:
            break
        unread = unread[match.end() :]
        os.write(master, steps.pop(0)["type"].encode())

status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if steps:
    sys.stderr.write("never shown: " + steps[0]["when"] + "\n")
    sys.exit(99)
sys.exit(status if status >= 0 else 128 - status)
