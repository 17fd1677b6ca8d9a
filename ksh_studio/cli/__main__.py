"""`python -m ksh_studio.cli` is `python studio.py`."""

import sys

from ksh_studio.cli.main import main

sys.exit(main())
