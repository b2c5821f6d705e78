"""What one would use instead of the tap, each set up as its documentation shows.

They run as commands of their own, in environments of their own.
"""
