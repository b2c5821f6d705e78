"""Claims about tap-bitbucket-dc, each of them tried."""
