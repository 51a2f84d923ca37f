"""What schemathesis.toml can't say."""

import itertools

import schemathesis


def has_whole_float(value):
    if isinstance(value, dict):
        return any(has_whole_float(member) for member in value.values())
    if isinstance(value, list):
        return any(has_whole_float(item) for item in value)
    return isinstance(value, float) and value.is_integer()


@schemathesis.hook
def filter_body(context, body):
    """To JSON Schema 1.0 is an integer; to the service, as to most that read JSON into types, it is none: 422."""
    return not has_whole_float(body)


number = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Lets what is right get past the headers that refuse it for what other requests have done."""
    if not case.headers or (case.meta is not None and case.meta.generation.mode.is_negative):
        return
    own = next(number)
    # A key that was used for another request is 422 by contract, and the simplest one would be used for all.
    key = case.headers.get("Idempotency-Key")
    if key is not None:
        case.headers["Idempotency-Key"] = f'{key[:-1]}-{own}"' if key.startswith('"') else f"{key[:240]}-{own}"
    # A version that is made up is 412. Some are left, to see that.
    if own % 4 and "If-Match" in case.headers:
        del case.headers["If-Match"]
