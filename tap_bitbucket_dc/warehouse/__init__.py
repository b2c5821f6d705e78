"""Views and an HTML report over the loaded tables in PostgreSQL.

``python -m tap_bitbucket_dc.warehouse`` is the command. The package knows the columns of the
tables and SQL, but nothing of Bitbucket's REST API, of Singer or of the tap. It needs the extra
``warehouse``.
"""
