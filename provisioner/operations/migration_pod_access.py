"""What a migration's pod is let in with: logins of its own, and the cooperative's own key; nothing of an administrator.

Made here, by the administrator, before the Job begins. The pod's login reads one database and makes a slot there
(provisioner.migration.postgres_job_login); the login by which the target's server follows is made with it, since no pod
can make one; a member's slice is not followed. Of the platform's S3 the pod has the applications' access key, which
opens their one bucket.

A pod that has done its work changes its password to one that nobody knows, where the server lets it. The login ends
with whatever ends the migration's copy: `end_in_platform` before a cutover, or with an abort; and by its limit, which
the same command moves on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provisioner.datastore.credentials import AccessKey, Secret, generate_password
from provisioner.errors import NotPermitted
from provisioner.migration.postgres_job_login import make_job_login, renew_job_login
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import session
from provisioner.operations.migrating import prepare_for_job
from provisioner.operations.migration_run import OpenRun
from provisioner.operations.migration_site import MigrationSite

GOOD_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class PodAccess:
    """The pod's PostgreSQL login, what the target follows with (None: it follows already, or nothing does), its key."""

    login: str
    password: Secret
    follow: Secret | None
    key: AccessKey = field(repr=False)


def make_access(run: OpenRun, *, key: AccessKey, now: Callable[[], datetime]) -> PodAccess:
    """Make both logins, with new passwords, and what else on the source only its administrator may make. Idempotent.

    ``key`` is that of the applications. Raises NotPermitted if the administrator may not make such logins, UsageError
    before PostgreSQL 14, and what servers raise.
    """
    site, password, follow = run.site, generate_password(), None
    if run.online:
        follow = prepare_for_job(run)
        _make_login(site, password=password, until=now() + GOOD_FOR)
    return PodAccess(login=site.job_login, password=password, follow=follow, key=key)


def make_slice_access(site: MigrationSite, *, key: AccessKey, now: Callable[[], datetime]) -> PodAccess:
    """The same for a member's slice."""
    password = generate_password()
    _make_login(site, password=password, until=now() + GOOD_FOR)
    return PodAccess(login=site.job_login, password=password, follow=None, key=key)


def renew_access(site: MigrationSite, *, now: Callable[[], datetime]) -> None:
    """Let a pod that works go on for as long again."""
    with session(site.source) as source:
        renew_job_login(source, site.job_login, until=now() + GOOD_FOR)


def end_access(site: MigrationSite) -> None:
    """Drop the pod's login. Idempotent."""
    with session(site.source) as source:
        drop_made_roles(source, [site.job_login])


def _make_login(site: MigrationSite, *, password: Secret, until: datetime) -> None:
    try:
        with session(site.source) as source:
            sliced = site.migration.member is not None
            make_job_login(source, site.job_login, password=password, until=until, sliced=sliced)
    except NotPermitted as error:
        name = site.migration.name
        raise NotPermitted(
            error.message,
            why=error.why,
            hint="a pod's login needs REPLICATION, BYPASSRLS and pg_read_all_data, which a superuser gives, or from "
            f"version 16 on who has them WITH ADMIN OPTION; else `coopctl migrate start {name}` copies from here",
        ) from error
