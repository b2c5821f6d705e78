"""What can be made of the loaded tables in PostgreSQL: views, and a page to look at.

``python -m tap_bitbucket_dc.warehouse`` is its command. Knows the tables' columns and SQL; nothing
of Bitbucket's HTTP, of Singer or of the tap. Needs the extra ``warehouse``.
"""
