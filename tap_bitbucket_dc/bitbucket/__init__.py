"""Bitbucket Data Center's REST API as typed Python objects.

::

    from tap_bitbucket_dc.bitbucket import Client, Options

    with Client(Options("https://bitbucket.example.com", token="…")) as bitbucket:
        for project in bitbucket.projects():
            for repository in bitbucket.repositories(project):
                print(repository, repository.clone_url("ssh"))

Only reads. Safe to use from many threads. Does not know Singer, nor anything else of this tap.
"""

from tap_bitbucket_dc.bitbucket.client import Client
from tap_bitbucket_dc.bitbucket.errors import (
    BitbucketError,
    ConfigError,
    FatalError,
    InaccessibleError,
    NoDefaultBranchError,
    NoSuchCommitError,
    NoSuchResourceError,
    RedirectError,
    SkippableError,
    UnavailableError,
)
from tap_bitbucket_dc.bitbucket.models import (
    Branch,
    Commit,
    Link,
    Links,
    Origin,
    OriginProject,
    Parent,
    Person,
    Project,
    Properties,
    Repository,
)
from tap_bitbucket_dc.bitbucket.options import Options
from tap_bitbucket_dc.bitbucket.paging import Ahead, Page
from tap_bitbucket_dc.bitbucket.throttle import ClosedError, Throttle

__all__ = [
    "Ahead",
    "BitbucketError",
    "Branch",
    "Client",
    "ClosedError",
    "Commit",
    "ConfigError",
    "FatalError",
    "InaccessibleError",
    "Link",
    "Links",
    "NoDefaultBranchError",
    "NoSuchCommitError",
    "NoSuchResourceError",
    "Options",
    "Origin",
    "OriginProject",
    "Page",
    "Parent",
    "Person",
    "Project",
    "Properties",
    "RedirectError",
    "Repository",
    "SkippableError",
    "Throttle",
    "UnavailableError",
]
