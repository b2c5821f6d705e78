"""Random worlds and random answers: the tap must emit the commits that ``git rev-list`` lists.

A world is a server whose repositories change while the tap reads them.
"""
