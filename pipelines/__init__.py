import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # before gRPC is imported: its notes are not for our users
