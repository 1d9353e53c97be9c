"""What schemathesis does not know of this API."""

import schemathesis

# Codes of problems of form. What they refuse, the schema must not allow.
FORM = {"bad_body", "bad_parameter", "bad_request", "broken_body", "invalid_field", "wrong_content_type"}


@schemathesis.check
def valid_data_is_well_formed(ctx, response, case):
    """In place of positive_data_acceptance, which takes every 422 for a problem of form. Here it also says
    that things do not go together (an unknown queue, dependencies in a circle), which no schema can state."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return
    if case.method.upper() not in {case.operation.method.upper()}:
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
