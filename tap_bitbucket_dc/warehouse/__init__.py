"""Views and an HTML report over the loaded tables in PostgreSQL, and a check of their completeness.

``tap-bitbucket-dc-warehouse`` is the command, described in this package's README.md. The package
knows SQL and the columns of the tables. Of the tap it uses only ``redaction``, except in
``comments``, which reads the descriptions in ``schemas``, and in ``verify``, which also uses the
settings and Bitbucket's REST API. It needs the extra ``warehouse``; ``verify --rows`` does not.
"""
