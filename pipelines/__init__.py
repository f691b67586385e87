"""Batch work on Ray Data and on plain batches. What stands here is read when Ray and gRPC are imported."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its notes are not for our users
if "RAY_ADDRESS" not in os.environ:  # the local cluster, or one of our own: loopback, no token (ADR 1)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
