"""What a command works with that moves a member's slice: both sides, whose slice it is, and what its solutions say."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from provisioner.catalogue.solution import Catalogue
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import read_place
from provisioner.descriptor.cooperative import Cooperative, MemberLayout
from provisioner.descriptor.loading import load_estate, load_migrations
from provisioner.errors import ProblemsFound
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.slice_classifying import SliceRequest, member_prefixes
from provisioner.migration.slice_planning import SliceSides
from provisioner.migration.slice_request import read_request
from provisioner.naming import CooperativeUid, member_names, slice_uid
from provisioner.operations.migration_site import SLICE_FILE, MigrationSite
from provisioner.plan.postgres import MEMBER_COLUMN


@dataclass(frozen=True, kw_only=True)
class SliceSite:
    """Both sides of the migration; of its source's bucket only the member's objects are seen, ``bucket`` is all."""

    moving: MigrationSite
    request: SliceRequest
    bucket: Bucket

    @property
    def name(self) -> str:
        """The migration's name."""
        return self.moving.migration.name

    @property
    def uid(self) -> CooperativeUid:
        """The mark of the slice."""
        return slice_uid(self.moving.tenant.uid, member=self.request.member)

    @property
    def sides(self) -> SliceSides:
        """Where it comes from and goes to, in words."""
        moving = self.moving
        return SliceSides(
            source=str(moving.source),
            target=str(moving.target),
            source_bucket=str(self.bucket),
            target_bucket=str(moving.target_bucket),
        )


def open_slice(site: MigrationSite, catalogue: Callable[[], Catalogue]) -> SliceSite:
    """The slice that the migration of ``site`` moves; ``catalogue`` gives the solutions on offer. A pod has neither
    these nor the members, and is given what they say.

    Raises InvalidDescriptor if the cooperative has problems or no such member, ProblemsFound while its data store is
    not on the platform.
    """
    request = _given(site) if site.inside else _described(site, catalogue())
    _require_at_home(site)
    source = replace(site.source_bucket, prefixes=member_prefixes(request))
    return SliceSite(moving=replace(site, source_bucket=source), request=request, bucket=site.source_bucket)


def _given(site: MigrationSite) -> SliceRequest:
    return read_request((site.estate.root / SLICE_FILE).read_text(encoding="utf-8"))


def _described(site: MigrationSite, catalogue: Catalogue) -> SliceRequest:
    """As the estate's documents and charts say it."""
    migration = site.migration
    _, cooperatives = load_estate(site.estate, catalogue_names=catalogue.names, names=(migration.cooperative,))
    # Members are known only now: the document is read once more, to be held against them.
    load_migrations(site.estate, platform=site.platform, cooperatives=cooperatives, only=migration.name)
    [cooperative] = cooperatives
    return _request(site, cooperative, catalogue=catalogue)


def _request(site: MigrationSite, cooperative: Cooperative, *, catalogue: Catalogue) -> SliceRequest:
    member = site.migration.member
    if member is None:
        raise AssertionError("a whole data store is no slice")
    maps = {choice.name: catalogue.solution(choice.name).data_map for choice in cooperative.solutions}
    return SliceRequest(
        member=member,
        key=site.migration.key,
        schema=member_names(member, database=site.tenant.database).schema,
        member_column=MEMBER_COLUMN if cooperative.postgres.member_layout is MemberLayout.COLUMN else "",
        maps={name: found for name, found in maps.items() if found is not None},
    )


def _require_at_home(site: MigrationSite) -> None:
    state = site.platform.state
    place = read_place(open_records(state.url, credentials_file=state.credentials_file), site.tenant.cooperative)
    if place is not None and (place.moved or place.moving):
        raise ProblemsFound(
            f"the data store of {site.tenant.cooperative} is not on the platform: it is {place}",
            hint="what a member is to have must come from where its cooperative works now",
        )
