"""Finds settings that were given and have no effect: misspelt ones, and environment variables.

Meltano passes to a plugin the settings that ``meltano.yml`` declares, and drops all others without
a word. The environment shows which were meant. Knows names only, and never a value.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc.bitbucket.errors import ConfigError, printable
from tap_bitbucket_dc.secret_settings import PREFIX

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator, Mapping, Sequence

MELTANO_PLUGIN = ("MELTANO_EXTRACTOR_NAME", "MELTANO_EXTRACTOR_NAMESPACE")
OF_THE_SDK = "LOGLEVEL"
OBJECTS = ("_config", "_maps")
"""Endings of the names of those settings that are objects."""

ALIKE = 0.75
"""``project`` and ``projects`` are more alike than this, ``prod_token`` and ``token`` less."""

SHORT = {"shard": "shard_index", "shards": "shard_count"}
"""Wrong names that are less alike, but too consequential to be overlooked."""

DECLARE = (
    "Declare it under the plugin's `settings` in meltano.yml. The tap's plugin file, which "
    "`meltano add --from-ref` reads, declares all settings."
)
GIVE = "To read environment variables, add `--config ENV`; otherwise use the configuration file."


class Unused(NamedTuple):
    """A setting that was given and has no effect.

    Attributes:
        what: A sentence with its name.
        meant: The setting that was meant, "" if none has a similar name.
    """

    what: str
    meant: str = ""
    remedy: str = "Correct the spelling; `tap-bitbucket-dc --about` lists the settings."


def find(
    config: Mapping[str, Any], environment: Mapping[str, str], known: Collection[str]
) -> list[Unused]:
    """Return the settings and variables that were given and have no effect.

    Args:
        config: The settings as the user gave them, without defaults.
        known: The names of all settings.
    """
    found = [_misspelt(name, known) for name in config if name not in known]
    reached = set(_names(config))
    for variable, name in sorted(_variables(environment)):
        if name not in reached and (unused := _unreached(variable, name, environment, known)):
            found.append(unused)
    return found


def warn(unused: Sequence[Unused], logger: logging.Logger) -> None:
    """Log a warning for each; raise a ConfigError if one would have limited the run to a shard."""
    for each in unused:
        logger.warning("%s %s", printable(each.what), each.remedy)
    require_none([each for each in unused if each.meant.startswith("shard_")])


def require_none(unused: Sequence[Unused]) -> None:
    """Raise a ConfigError if a given setting has no effect."""
    if unused:
        raise invalid(unused)


def invalid(unused: Sequence[Unused], *found: str) -> ConfigError:
    """Return the error for settings without effect, and for what else was found."""
    remedies = dict.fromkeys(each.remedy for each in unused)
    return ConfigError(
        " ".join([*found, *(each.what for each in unused)]), remedy=" ".join(remedies)
    )


def _misspelt(name: str, known: Collection[str]) -> Unused:
    meant = _nearest(name, known)
    question = f" Did you mean `{meant}`?" if meant else ""
    return Unused(f"`{name}` is not a setting.{question}", meant)


def _unreached(
    variable: str, name: str, environment: Mapping[str, str], known: Collection[str]
) -> Unused | None:
    """Return what is wrong with a variable, None if it is not one of this plugin."""
    in_meltano = any(environment.get(each) for each in MELTANO_PLUGIN)
    name = name.lower()
    for setting in known:
        # Meltano has a variable for each member of an object: STREAM_MAPS_COMMITS_MESSAGE.
        if name == setting or (name.startswith(f"{setting}_") and setting.endswith(OBJECTS)):
            what = f"`{setting}` did not reach the tap, although `{variable}` is set."
            return Unused(what, setting, DECLARE if in_meltano else GIVE)
    meant = _nearest(name, known)
    if in_meltano and any(name.endswith(f"_{s}") and meant in {"", s} for s in known):
        return None  # of a plugin that inherits from this one: EU_TOKEN of tap-bitbucket-dc-eu
    question = f" Did you mean `{variable[: -len(name)]}{meant.upper()}`?" if meant else ""
    return Unused(f"The environment variable `{variable}` matches no setting.{question}", meant)


def _nearest(name: str, known: Collection[str]) -> str:
    """Return the setting with the most similar name, "" if none is similar."""
    name = name.lower()
    return SHORT.get(name) or next(iter(difflib.get_close_matches(name, known, 1, ALIKE)), "")


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables of this plugin that are set, each with its name after the prefix."""
    plugins = [environment[name] for name in MELTANO_PLUGIN if environment.get(name)]
    prefixes = {PREFIX, *(f"{_as_variable(plugin)}_" for plugin in plugins)}
    for variable, value in environment.items():
        prefix = max((p for p in prefixes if variable.startswith(p)), key=len, default="")
        name = variable.removeprefix(prefix)
        # Names with two underscores are Meltano's own, such as __SELECT.
        if prefix and value and name != OF_THE_SDK and "__" not in f"_{name}":
            yield variable, name


def _names(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of settings and of the members of objects, as in environment variables."""
    for key, item in value.items():
        name = f"{prefix}{_as_variable(key)}"
        yield name
        if isinstance(item, dict):
            yield from _names(item, f"{name}_")


def _as_variable(text: str) -> str:
    return re.sub(r"\W", "_", text).upper()
