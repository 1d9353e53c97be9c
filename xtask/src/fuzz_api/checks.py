"""What schemathesis does not know of this API."""

import functools
import json

import jsonschema_rs
import schemathesis

# Codes of problems of form. What they refuse, the schema must not allow.
FORM = {"bad_body", "bad_parameter", "bad_request", "broken_body", "invalid_field", "wrong_content_type"}


@functools.cache
def validator(schema, components):
    whole = {"allOf": [json.loads(schema)], "components": json.loads(components)}
    return jsonschema_rs.Draft202012Validator(whole)


def is_valid_body(case):
    """Now and then a case that is said to be valid has a placeholder for its body."""
    if case.media_type != "application/json":
        return True
    document = case.operation.schema.raw_schema
    operation = document["paths"][case.operation.path][case.operation.method.lower()]
    schema = operation["requestBody"]["content"][case.media_type]["schema"]
    return validator(json.dumps(schema), json.dumps(document["components"])).is_valid(case.body)


def has_whole_float(value):
    """2.0 is a whole number in a schema, and none to serde: whole numbers are to be written without a point."""
    if isinstance(value, dict):
        return any(has_whole_float(it) for it in value.values())
    if isinstance(value, list):
        return any(has_whole_float(it) for it in value)
    return isinstance(value, float) and value.is_integer()


@schemathesis.check
def valid_data_is_well_formed(ctx, response, case):
    """In place of positive_data_acceptance, which takes every 422 for a problem of form. Here it also says
    that things do not go together (an unknown queue, dependencies in a circle), which no schema can state."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return
    if case.method.upper() != case.operation.method.upper() or not is_valid_body(case):
        return
    if has_whole_float(case.body):
        return
    problem = response.json()
    assert problem["code"] not in FORM, f"valid by its schema, but refused: {problem['detail']}"


@schemathesis.check
def problems_are_whole(ctx, response, case):
    """Every refusal, also one that no operation describes, is a problem that says what it is."""
    if response.status_code < 400:
        return
    kind = (response.headers.get("content-type") or ["nothing"])[0]
    assert kind == "application/problem+json", f"a refusal as {kind}"
    problem = response.json()
    assert problem["status"] == response.status_code and problem["code"] and problem["detail"]
