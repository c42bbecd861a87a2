#!/opt/eng5/bin/python
"""Exit 0 if every address answers 200: the arguments, else the words of ENG5_HEALTH_URLS."""

from __future__ import annotations

import os
import sys
from urllib.request import ProxyHandler, build_opener

SECONDS = 3.0


def main() -> int:
    addresses = sys.argv[1:] or os.environ.get("ENG5_HEALTH_URLS", "").split()
    opener = build_opener(ProxyHandler({}))  # health is asked on loopback, never through a proxy
    for address in addresses:
        try:
            opener.open(address, timeout=SECONDS).close()
        except OSError as error:  # an answer of 400 and above is one as well
            print(f"{address}: {error}")
            return 1
    return 0 if addresses else 1


if __name__ == "__main__":
    sys.exit(main())
