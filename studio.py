"""KSH Studio: start here. `python studio.py` opens the page; `python studio.py --help` lists the rest."""

import sys

from ksh_studio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
