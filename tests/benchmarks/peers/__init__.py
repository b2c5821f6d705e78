"""Alternatives to the tap, each set up as its documentation shows, and bare loops as the limit.

Each runs as a command of its own; dlt and airbyte-cdk have environments of their own.
"""
