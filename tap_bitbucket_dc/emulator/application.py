"""Which part of Bitbucket answers a request: its REST API, its status page, or its web pages."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_bitbucket_dc.emulator import errors
from tap_bitbucket_dc.emulator.errors import BitbucketError
from tap_bitbucket_dc.emulator.exchange import HTML, JSON, Answer, encoded
from tap_bitbucket_dc.emulator.git import GitError, NoSuchCommitError
from tap_bitbucket_dc.emulator.projects import SameIdError
from tap_bitbucket_dc.emulator.resources import NoSuchResourceError, Resources

if TYPE_CHECKING:
    from tap_bitbucket_dc.emulator.exchange import Json, Request
    from tap_bitbucket_dc.emulator.login import User
    from tap_bitbucket_dc.emulator.options import Options

API = ("/rest/api/1.0/", "/rest/api/latest/")
OPEN = "application-properties"  # answered even without a login or with wrong credentials
# In each release line, HTTP access tokens work only below /rest and /scm since this release.
# Source: https://support.atlassian.com/bitbucket-data-center/kb/access-tokens-no-longer-work-as-expected-after-upgrading-bitbucket-data-center
TOKENS_FOR_REST_ONLY = ((8, 9, 22), (8, 19, 12), (9, 3, 2))


def answer(options: Options, request: Request) -> Answer:
    """Return the true answer to a request: the one that is sent if no fault changes it."""
    if request.method != "GET":
        return _json(405, {"message": "HTTP 405 Method Not Allowed", "status-code": 405})
    context, path = options.context_path, request.path
    if not path.startswith(context):
        return _page(404, "Not Found")
    path = path[len(context) :]
    for api in API:
        if path.startswith(api):
            return _rest(options, request, path.removeprefix(api).strip("/"))
    if path.startswith("/rest/"):
        return _unknown(options, request)
    return _web(options, request, path)


def _rest(options: Options, request: Request, path: str) -> Answer:
    headers = {
        "X-AREQUESTID": f"@EMULATORx{int(time.time() / 60) % 1440}x{request.number}x0",
        "Cache-Control": "private, no-cache, no-transform",
        "Vary": "x-ausername,x-auserid,cookie,accept-encoding",
        "X-Content-Type-Options": "nosniff",
    }
    try:
        user = _caller(options, request, path)
        if user:
            request.user = user.name
            headers |= {"X-AUSERID": str(user.id), "X-AUSERNAME": quote(user.name)}
        found = _resource(options, request, user, path)
    except BitbucketError as error:
        found = error.answer()
    found.headers |= headers
    return found


def _caller(options: Options, request: Request, path: str) -> User | None:
    try:
        user = options.login().user(request.headers.get("authorization"))
    except BitbucketError:
        if path == OPEN:
            return None
        raise
    if user and options.rate_limit:
        options.rate_limit.take(user.slug)
    if user is None and not options.public_access and path != OPEN:
        raise errors.not_permitted()
    return user


def _resource(options: Options, request: Request, user: User | None, path: str) -> Answer:
    resources = Resources(options, request, user)
    try:
        body = resources.get(path)
    except NoSuchResourceError:
        return _unknown(options, request)
    except SameIdError as error:
        raise errors.failed(str(error)) from error
    except NoSuchCommitError as error:
        raise errors.no_such_commit(str(error), path.split("/")[3]) from error
    except (GitError, FileNotFoundError) as error:
        with contextlib.suppress(GitError, FileNotFoundError):
            resources.get("/".join(path.split("/")[:4]))  # raises if it no longer exists
        raise errors.failed(str(error)) from error
    return Answer(204) if body is None else _json(200, body)


def _web(options: Options, request: Request, path: str) -> Answer:
    if path == "/login":
        return _page(200, "Log in - Bitbucket")
    scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme == "bearer" and _tokens_for_rest_only(options.numbers):
        return Answer(302, b"", {"Location": f"{options.url}/login"})
    if path == "/status":
        return _json(200, {"state": "RUNNING"})
    if path in {"", "/", "/dashboard", "/projects"}:
        return Answer(302, b"", {"Location": f"{options.url}/login"})
    return _page(404, "Not Found")


def _tokens_for_rest_only(version: tuple[int, ...]) -> bool:
    *lines, last = TOKENS_FOR_REST_ONLY
    return version >= last or any(line[:2] == version[:2] and version >= line for line in lines)


def _unknown(options: Options, request: Request) -> Answer:
    if not options.default_branch_resource:
        return _json(404, {"message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1})
    origin = options.url.removesuffix(options.context_path)
    return _json(404, {"message": f"null for uri: {origin}{request.target}", "status-code": 404})


def _json(status: int, body: Json | bytes) -> Answer:
    content = body if isinstance(body, bytes) else encoded(body)
    return Answer(status, content, {"Content-Type": JSON})


def _page(status: int, title: str) -> Answer:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return Answer(status, page.encode(), {"Content-Type": HTML})
