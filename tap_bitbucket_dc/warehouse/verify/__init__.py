"""Proves that what was loaded is all that Bitbucket has: ``… warehouse verify``.

``loaded`` reads the tables or rows, ``listed`` the commits in Bitbucket, ``compare`` compares
them, ``differences`` says what was found, and ``command`` is the command line. Of the whole
warehouse, only this package knows the tap's settings and Bitbucket.
"""
