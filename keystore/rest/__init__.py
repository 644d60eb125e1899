"""The control plane over HTTP, in the shape of the Atlas Admin API: routes, bodies, keys and roles, the document.

Leaves to others: what a request does (`keystore.projects`).
"""

from importlib.util import find_spec

from keystore.errors import ControlSetupError

_missing = [name for name in ("msgspec", "starlette", "uvicorn") if find_spec(name) is None]
if _missing:
    raise ControlSetupError(
        f"The API of the control plane needs {' and '.join(_missing)}, which this installation lacks. Nothing was "
        "changed; pip install 'cmk-keystore[control]'."
    )
