"""All that the doctor looks at, in the order in which it is told."""

from satupeta_server.maintenance import (
    checks_database,
    checks_servers,
    checks_settings,
    checks_store,
)
from satupeta_server.maintenance.doctor import Check

_TABLES = ("configuration", "database", "migrations")

CHECKS = (
    Check("configuration", checks_settings.configuration, needs=()),
    Check("secrets", checks_settings.secrets),
    Check("database", checks_database.server),
    Check("pooler", checks_servers.pooler, needs=("configuration", "database")),
    Check("replica", checks_servers.replica, needs=("configuration", "database")),
    Check("migrations", checks_database.migrations, needs=("configuration", "database")),
    Check("extensions", checks_database.extensions, needs=("configuration", "database")),
    Check("indexes", checks_database.indexes, needs=_TABLES),
    Check("clock", checks_store.clock),
    Check("bucket", checks_store.bucket),
    Check("policy", checks_store.policy, needs=("configuration", "bucket")),
    Check("objects", checks_store.objects, needs=(*_TABLES, "bucket")),
    Check("disk", checks_settings.disk),
    Check("cors", checks_settings.origins),
    Check("jobs", checks_database.jobs, needs=_TABLES),
    Check("deliveries", checks_database.deliveries, needs=_TABLES),
    Check("mail", checks_servers.mail),
    Check("accounts", checks_database.accounts, needs=_TABLES),
    Check("audit", checks_database.audit, needs=_TABLES),
    Check("credentials", checks_database.credentials, needs=_TABLES),
)
