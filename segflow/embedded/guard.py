"""A guard process: it runs one server, and kills it when the process that asked for it is gone.

    python guard.py OWNER_PID FOLDER COMMAND...

The guard prints the server's process id, waits for the server, and ends with its exit code. When the owner is no longer
the guard's parent, it kills the server and removes FOLDER. The parent process id shows the owner's death also after
SIGKILL, for owners with threads or forked children, and on every Unix. Linux's PR_SET_PDEATHSIG fires already when the
starting thread ends. Standard library only: the guard runs outside any virtual environment, to start fast.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

# Seconds between two looks at the parent. An orphan ends well within a second, at no measurable cost.
LOOK_EVERY_S = 0.2


def main(owner_pid: int, folder: str, command: list[str]) -> int:
    """Run the command to its end and return its exit code."""
    # The log is on the error stream; standard output is the owner's pipe, which the server must not hold.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    # The guard lives as long as its server. Set after the start: the server would inherit an ignored signal.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()

    def kill_when_orphaned() -> None:
        while os.getppid() == owner_pid:
            time.sleep(LOOK_EVERY_S)
        server.kill()

    threading.Thread(target=kill_when_orphaned, daemon=True).start()
    exit_code = server.wait()
    if os.getppid() != owner_pid:
        shutil.rmtree(folder, ignore_errors=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
