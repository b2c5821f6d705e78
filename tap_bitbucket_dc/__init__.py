"""A Singer tap for Bitbucket Data Center that loses no commit."""
