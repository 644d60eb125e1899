"""Clusters of nodes: what is due, what is done to them, in which order, and workflows that survive their process.

Needs the extra `control`; without it the import says so, and the rest of the package works.
"""

from importlib.util import find_spec

from keystore.errors import ControlSetupError

_missing = [name for name in ("alembic", "dbos", "sqlalchemy") if find_spec(name) is None]
if _missing:
    raise ControlSetupError(
        f"The control plane needs {' and '.join(_missing)}, which this installation lacks. Nothing was changed; "
        "pip install 'cmk-keystore[control]'."
    )
