"""Which settings are secret, and whether the seed of pseudonyms is set.

A secret is hidden even if it has the wrong type or is in the wrong setting.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.bitbucket.connection import is_pem
from tap_bitbucket_dc.bitbucket.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PREFIX = "TAP_BITBUCKET_DC_"
MAPS, MAP_VALUES, SEED = "stream_maps", "stream_map_config", "hash_seed"

_SECRET = re.compile(r"token|passw|secret|seed|salt|credential", re.IGNORECASE)


def hide_settings(config: Mapping[str, Any]) -> None:
    """Have the secrets in a configuration removed from all output."""
    values = config.get(MAP_VALUES)
    redaction.hide(list(_secrets(config)), None if isinstance(values, dict) else values)
    username, password = config.get("username"), config.get("password")
    if isinstance(username, str) and isinstance(password, str):
        redaction.hide_login(username, password)


def hide_environment(environment: Mapping[str, str]) -> None:
    """Have the secrets in environment variables of the settings removed from all output."""
    ours = (name for name in environment if name.startswith(PREFIX))
    hide_settings({name.removeprefix(PREFIX).lower(): _json(environment[name]) for name in ours})


def hide_arguments(arguments: Sequence[str]) -> None:
    """Have the secrets in a configuration given as an argument removed from all output."""
    for argument in arguments:
        if "{" in argument:
            found = _json(argument)
            hide_settings(found if isinstance(found, dict) else {"secret": found})


def require_seed(config: Mapping[str, Any]) -> None:
    """Raise a ConfigError if stream maps use a hash seed that is not set to a text."""
    if not any(SEED in text for text in redaction.texts(config.get(MAPS))):
        return
    seed = (config.get(MAP_VALUES) or {}).get(SEED)
    if not isinstance(seed, str) or not seed.strip():
        msg = f"`{MAPS}` uses `{SEED}`, but `{MAP_VALUES}` does not set it to a string."
        remedy = f'Set `{MAP_VALUES}` to {{"{SEED}": "a long secret"}}.'
        raise ConfigError(msg, remedy=remedy)


def _secrets(value: object) -> Iterator[str]:
    """Yield the texts that are secret by name or format; register the logins in URLs."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from redaction.texts(item) if _SECRET.search(str(name)) else _secrets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item)
    elif isinstance(value, str) and is_pem(value):
        yield value
    elif isinstance(value, str) and "@" in value:
        redaction.hide_url(value)


def _json(text: str) -> Any:  # noqa: ANN401 any JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
