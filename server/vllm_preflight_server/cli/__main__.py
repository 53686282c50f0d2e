"""`python -m vllm_preflight_server.cli`."""

import sys

from vllm_preflight_server.cli.main import main

sys.exit(main())
