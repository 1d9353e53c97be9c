"""Between the contract in `{{wit}}/` and policy.py. Turns columns into rows, and every exception into an
error that the host shows with the policy's name."""

import json

import policy
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types


def told(error):
    """As the text of an error of the contract."""
    return Err(str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")


def columns(fields):
    return ",".join(field.replace("_", "-") for field in fields)


class Lifecycle(exports.Lifecycle):
    def configure(self, config_json):
        try:
            policy.configure(**json.loads(config_json))
        except Exception as error:
            raise told(error)
        properties = list(policy.PROPERTIES.items())
        for key, fields in {{needs}}:
            if fields:
                properties.append((key, columns(fields)))
        return types.Manifest(policy.NAME, policy.VERSION, properties)


