"""`python -m docgen`: write the reference pages, build the site, or show it while documents change."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from docgen import links, reference
from docgen.stage import ROOT, SITE, stage

RESTAGE_S = 0.5
"""Half a second is soon enough for somebody who just saved a file, and nothing for the processor."""


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="docgen", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reference", help="write docs/reference/ and the dashboard from the code")
    commands.add_parser("build", help="build the site into build/docs/site; exit code 1 where a link leads nowhere")
    serve = commands.add_parser("serve", help="build the site, and again whenever a document changes")
    serve.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    if arguments.command == "reference":
        for path in reference.write():
            print(f"written: {path.relative_to(ROOT)}")  # noqa: T201 - a command says what it did
        return 0
    return build() if arguments.command == "build" else show(arguments.port)


def build() -> int:
    """Build the site and look at every link in it; what is wrong goes to standard error, a line each; the exit code."""
    stage()
    built = subprocess.run(  # noqa: S603 - ours
        [*_zensical("build"), "--clean"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if built.returncode:
        sys.stderr.write(built.stdout + built.stderr)
        return 1
    found = list(links.problems(SITE))
    for line in found:
        print(line, file=sys.stderr)  # noqa: T201 - as above
    print(f"built: {(SITE / 'index.html').relative_to(ROOT)}")  # noqa: T201 - as above
    return 1 if found else 0


def show(port: int) -> int:
    """Serve the site on this machine until Ctrl-C."""
    stage()
    server = subprocess.Popen([*_zensical("serve"), "--dev-addr", f"127.0.0.1:{port}"], cwd=ROOT)  # noqa: S603 - ours
    try:
        while server.poll() is None:
            time.sleep(RESTAGE_S)
            stage()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()
    return server.returncode


def _zensical(command: str) -> list[str]:
    """The site generator of this environment, with the configuration of this repository."""
    return [str(Path(sys.executable).parent / "zensical"), command, "--config-file", str(ROOT / "mkdocs.yml")]


if __name__ == "__main__":
    sys.exit(main())
