"""``… warehouse verify``: proves that everything in Bitbucket was loaded.

``loaded`` reads the tables or rows, ``listed`` the commits in Bitbucket, ``compare`` compares
them, ``differences`` describes what was found, and ``command`` is the command line. Of the whole
warehouse, only this package knows the tap's settings and Bitbucket.
"""
