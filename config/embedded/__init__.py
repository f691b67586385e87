"""PostgreSQL, Valkey and Milvus Lite for one machine, each the real server as a child process on loopback."""
