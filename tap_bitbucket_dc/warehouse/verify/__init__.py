"""``tap-bitbucket-dc-warehouse verify``: checks that everything in Bitbucket was loaded.

``loaded`` reads the tables or rows, ``listed`` reads the commits in Bitbucket, ``compare`` compares
them, ``differences`` describes what was found, and ``command`` is the command line. In the package
``warehouse``, only this one knows the tap's settings and Bitbucket.
"""
