"""What is read from Bitbucket, in which order, and what a failure means for the run.

Knows the resources of Bitbucket and the bookmarks of the state. Knows neither Singer nor HTTP.
"""
