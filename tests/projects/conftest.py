"""What tests of projects share: control databases of both kinds."""

from tests.control.conftest import database as database
from tests.control.conftest import database_url as database_url
from tests.control.conftest import opened as opened
from tests.control.conftest import postgres as postgres
