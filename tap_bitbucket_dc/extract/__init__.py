"""What is read from Bitbucket, in which order, and what a failure means for the run.

Knows the resources of Bitbucket and the bookmarks of the state. Reads only through a ``Client``: of
HTTP it knows nothing but status 404. Does not know Singer.
"""
