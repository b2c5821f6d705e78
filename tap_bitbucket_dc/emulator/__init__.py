"""A Bitbucket Data Center that answers from real git repositories, for tests and demonstrations.

::

    with Bitbucket(root) as bitbucket:
        bitbucket.url                  # http://127.0.0.1:40321/bitbucket
        bitbucket.faults += [BUSY] * 4
        bitbucket.requests             # every request so far

Or ``python -m tap_bitbucket_dc.emulator ROOT``. Which directories make a server: see ``projects``.

Not imitated:

* everything but reading projects, repositories, branches and commits; HTML pages, sessions,
  cookies, avatars, XML, compression, chunked answers;
* permissions of single users: what is not hidden may be seen by everyone who is logged in;
  groups, licences, permission filters beyond that anonymous callers have none; tokens of a
  project or repository; Bearer tokens are accepted by versions before 5.5 too;
* ``path`` and ``followRenames`` of commits: they are ignored, as any unknown parameter is;
* redirects of renamed projects and repositories; slugs in another case than the directory's;
* repositories that are not available: ``state`` is shown, everything else answered as usual;
* cutting very long messages; the order of equal names; the search syntax of ``name``;
* a CAPTCHA after wrong passwords: it is demanded if ``captcha`` is set, of every login;
* expressions for commits, as ``main~2``: only ids, their beginnings, branches and tags are found;
* of git: SHA-256 repositories, worktrees (a file ``.git``), the reftable format, replaced
  commits and grafts.

Where no recording of a real server is known the answer is a guess: bodies of 429 and 503, the
demand of a CAPTCHA, basic authentication switched off, a limit that is no positive number (400),
the origin of a fork that is not visible (absent), commits of an empty repository (404).
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
from tap_bitbucket_dc.emulator.login import ADMIN, RateLimit, User
from tap_bitbucket_dc.emulator.projects import SameIdError
from tap_bitbucket_dc.emulator.server import Bitbucket

__all__ = [
    "ADMIN",
    "BUSY",
    "CUT",
    "HTML_502",
    "LOGIN_PAGE",
    "RESET",
    "TOO_MANY",
    "Answer",
    "Bitbucket",
    "Fault",
    "RateLimit",
    "Request",
    "SameIdError",
    "User",
    "redirect",
]
