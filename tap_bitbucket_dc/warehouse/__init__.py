"""Views and an HTML report over the loaded tables in PostgreSQL, and a check of their completeness.

``python -m tap_bitbucket_dc.warehouse`` is the command. The package knows SQL and the columns of
the tables. Of the tap it uses only ``redaction``, except in ``verify``, which also knows the
settings and Bitbucket's REST API. It needs the extra ``warehouse``; ``verify --rows`` does not.
"""
