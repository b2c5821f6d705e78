"""A Singer tap for Bitbucket Data Center."""
