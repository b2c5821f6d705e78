"""Claims about single modules; no sockets."""
