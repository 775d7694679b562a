"""The command line: one file per command, no logic of its own."""

import sys

from hale.cli.app import run
from hale.cli.arguments import with_optional_values


def main() -> None:
    """Run the command that was typed; exit 0, 1 (a defect of ours), 2 (refused) or 3."""
    sys.exit(run(with_optional_values(sys.argv[1:])))
