"""Bitbucket Data Center's REST API as typed Python objects.

::

    from tap_bitbucket_dc.bitbucket import Client, Options

    with Client(Options("https://bitbucket.example.com", token="…")) as bitbucket:
        for project in bitbucket.projects():
            for repository in bitbucket.repositories(project):
                print(repository, repository.clone_url("ssh"))

A client only reads, and is safe to use from many threads. This package does not know Singer. Of the
rest of the tap, it uses only ``redaction``.
"""

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.client import Client
from tap_bitbucket_dc.bitbucket.models import (
    Branch,
    Commit,
    Origin,
    Parent,
    Person,
    Project,
    Repository,
)
from tap_bitbucket_dc.bitbucket.options import Options
from tap_bitbucket_dc.bitbucket.paging import Ahead, Page
from tap_bitbucket_dc.bitbucket.throttle import ClosedError, Throttle

__all__ = [
    "Ahead",
    "Branch",
    "Client",
    "ClosedError",
    "Commit",
    "Options",
    "Origin",
    "Page",
    "Parent",
    "Person",
    "Project",
    "Repository",
    "Throttle",
    "errors",
]
