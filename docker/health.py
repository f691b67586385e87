"""Health of a container: the address in HEALTH answers 200, by default Serve's own. Standard library only."""

import os
import sys
import urllib.request

ADDRESS = os.environ.get("HEALTH", "http://127.0.0.1:8000/-/healthz")

if __name__ == "__main__":
    try:
        with urllib.request.urlopen(ADDRESS, timeout=4) as answer:  # noqa: S310  # the container's own address
            sys.exit(answer.status != 200)
    except OSError as error:
        sys.exit(f"{ADDRESS}: {error}")
