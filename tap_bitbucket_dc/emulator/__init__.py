"""A Bitbucket Data Center that answers from real git repositories, for tests and demonstrations.

::

    with Bitbucket(root) as bitbucket:
        bitbucket.url                  # http://127.0.0.1:40321/bitbucket
        bitbucket.faults += [BUSY] * 4
        bitbucket.requests             # every request so far
        bitbucket.faults.append(WITHOUT_LAST_ROW.on("ledger/commits"))

``python -m tap_bitbucket_dc.emulator ROOT`` runs it as a command. The module ``options`` lists
what can be set, ``projects`` shows which directories make a server, and ``faults`` and ``lies``
describe what can go wrong.

The emulator does not imitate:

* anything but reading projects, repositories, branches and commits; HTML pages, sessions,
  cookies, avatars, XML, compression, chunked answers;
* permissions of single users: everyone who is logged in sees everything that is not hidden. There
  are no groups, no licences and no tokens of a project or repository, the parameter ``permission``
  only tells anonymous callers from others, and versions before 5.5 accept Bearer tokens too;
* ``path`` and ``followRenames`` of commits: like any unknown parameter, they are ignored;
* redirects from the old name of a project or repository, and slugs in a different case;
* repositories that are not available: ``state`` is shown, but every other answer is as usual;
* truncation of very long messages, the order of equal names, and the search syntax of ``name``;
* a CAPTCHA after wrong passwords: if ``captcha`` is set, every login is answered with it;
* expressions for commits, such as ``main~2``: only ids, their beginnings, branches and tags are
  resolved;
* SHA-256 repositories, worktrees (a file ``.git``), the reftable format, replaced commits and
  grafts.

Where no recording of a real server is known, the answer is a guess. This applies to the bodies of
429 and 503, the demand to solve a CAPTCHA, disabled basic authentication, a ``limit`` that is not
a positive number (400), the origin of a fork if the caller may not see it (absent), the commits of
an empty repository (404), and a server without ``branches/default``.
"""

from __future__ import annotations

from tap_bitbucket_dc.emulator.exchange import Answer, Request
from tap_bitbucket_dc.emulator.faults import (
    BUSY,
    CUT,
    HTML_502,
    LOGIN_PAGE,
    RESET,
    TOO_MANY,
    Fault,
    redirect,
)
from tap_bitbucket_dc.emulator.lies import (
    EMPTY_PAGE,
    LAST_TOO_EARLY,
    START_IGNORED,
    START_IGNORED_AND_LAST,
    WITHOUT_FIRST_ROW,
    WITHOUT_LAST_ROW,
    WITHOUT_MIDDLE_ROW,
    WITHOUT_PARENTS,
    commits_of,
)
from tap_bitbucket_dc.emulator.login import ADMIN, RateLimit, User
from tap_bitbucket_dc.emulator.projects import SameIdError
from tap_bitbucket_dc.emulator.server import Bitbucket

__all__ = [
    "ADMIN",
    "BUSY",
    "CUT",
    "EMPTY_PAGE",
    "HTML_502",
    "LAST_TOO_EARLY",
    "LOGIN_PAGE",
    "RESET",
    "START_IGNORED",
    "START_IGNORED_AND_LAST",
    "TOO_MANY",
    "WITHOUT_FIRST_ROW",
    "WITHOUT_LAST_ROW",
    "WITHOUT_MIDDLE_ROW",
    "WITHOUT_PARENTS",
    "Answer",
    "Bitbucket",
    "Fault",
    "RateLimit",
    "Request",
    "SameIdError",
    "User",
    "commits_of",
    "redirect",
]
