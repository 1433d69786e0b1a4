"""The provider itself: Pulumi's calls, each for one resource, handed to the resource's kind.

Calls of a preview never touch a server. All others run in threads, a few at a time, so that one stack does not take
all of a server's connections.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    GetSchemaRequest,
    GetSchemaResponse,
    PropertyDiff,
    PropertyDiffKind,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)

from provisioner.errors import CoopctlError, UsageError
from stacks.provider.configuration import Configuration, from_properties
from stacks.provider.kinds import DEVIATIONS, Change, Kind, Stores, differences, renews
from stacks.provider.members_kind import MembersResource
from stacks.provider.objects_kinds import BucketResource, IdentityResource
from stacks.provider.plugin import PACKAGE, VERSION
from stacks.provider.postgres_kinds import DatabaseResource, GrantsResource, RoleResource
from stacks.provider.properties import Properties, plain_properties, unknown, wrapped_properties

AT_ONCE = 4
Result = TypeVar("Result")


def kinds() -> Mapping[str, Kind]:
    """Every type of resource that the provider knows, by its token."""
    return {
        "coopctl:postgres:Role": RoleResource(),
        "coopctl:postgres:Database": DatabaseResource(),
        "coopctl:postgres:Grants": GrantsResource(),
        "coopctl:postgres:Members": MembersResource(),
        "coopctl:objects:Bucket": BucketResource(),
        "coopctl:objects:Identity": IdentityResource(),
    }


class DataStoreProvider(Provider):
    """Pulumi's view of a cooperative's data store. ``open_stores`` connects it to servers, real or in memory."""

    def __init__(self, open_stores: Callable[[Configuration], Stores]) -> None:
        self._open_stores = open_stores
        self._stores: Stores | None = None
        self._kinds = kinds()
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get_schema(self, request: GetSchemaRequest) -> GetSchemaResponse:  # noqa: ARG002 - the protocol's
        """The package's name and version; programs use the typed classes of resources.py."""
        return GetSchemaResponse(json.dumps({"name": PACKAGE, "version": VERSION}))

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        """Keep the configuration; no server is called and no credential read yet."""
        self._stores = self._open_stores(from_properties(plain_properties(request.args)))
        return ConfigureResponse(accept_secrets=True, supports_preview=True, accept_resources=True, accept_outputs=True)

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Refuse values that cannot be."""
        problems = self._kind(request.type).problems(plain_properties(request.new_inputs), stores=self._opened())
        failures = [CheckFailure(property=name, reason=reason) for name, reason in problems]
        return CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Name exactly the fields that differ between the state and the program."""
        kind = self._kind(request.type)
        found = differences(
            kind, state=plain_properties(request.old_state), inputs=plain_properties(request.new_inputs)
        )
        replaces = [name for name, change in found.items() if change is Change.REPLACE]
        return DiffResponse(
            changes=bool(found),
            replaces=replaces,
            diffs=list(found),
            detailed_diff={name: _property_diff(name, change) for name, change in found.items()},
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Make or adopt the resource."""
        kind, inputs = self._kind(request.type), plain_properties(request.properties)
        if request.preview:
            return CreateResponse(properties=_previewed(kind, inputs))
        stores = self._opened()
        state = await self._in_turn(lambda: kind.create(inputs, stores=stores))
        return CreateResponse(resource_id=kind.identifier(inputs), properties=wrapped_properties(state))

    async def read(self, request: ReadRequest) -> ReadResponse:
        """The resource as it is now; without an id if it is gone."""
        kind, state = self._kind(request.type), plain_properties(request.properties)
        if not state:
            raise UsageError(
                f"{request.type} {request.resource_id!r} cannot be imported",
                hint="run `coopctl apply`: what bears the cooperative's mark is adopted",
            )
        stores = self._opened()
        found = await self._in_turn(lambda: kind.read(state, stores=stores))
        if found is None:
            return ReadResponse()
        return ReadResponse(
            resource_id=request.resource_id, properties=wrapped_properties(found), inputs=request.inputs
        )

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        """Bring the resource to the program's inputs in place."""
        kind, state, inputs = self._kind(request.type), plain_properties(request.olds), plain_properties(request.news)
        if request.preview:
            return UpdateResponse(properties=_after_update(kind, request.olds, request.news))
        stores = self._opened()
        made = await self._in_turn(lambda: kind.update(state, inputs, stores=stores))
        return UpdateResponse(properties=wrapped_properties(made))

    async def delete(self, request: DeleteRequest) -> None:
        """Delete the resource, or keep it where that would lose data."""
        kind, state = self._kind(request.type), plain_properties(request.properties)
        stores = self._opened()
        await self._in_turn(lambda: kind.delete(state, stores=stores))

    def _kind(self, token: str) -> Kind:
        if token not in self._kinds:
            raise UsageError(f"the provider {PACKAGE} has no resource {token!r}")
        return self._kinds[token]

    def _opened(self) -> Stores:
        if self._stores is None:
            raise CoopctlError("the provider is not configured", hint="declare it with CoopctlProvider")
        return self._stores

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        async with self._turn:
            return await asyncio.to_thread(work)


def _property_diff(name: str, change: Change) -> PropertyDiff:
    kind = PropertyDiffKind.UPDATE_REPLACE if change is Change.REPLACE else PropertyDiffKind.UPDATE
    return PropertyDiff(kind, input_diff=name != DEVIATIONS)


def _previewed(kind: Kind, inputs: Properties) -> dict[str, PropertyValue]:
    declared = wrapped_properties({**{name: inputs.get(name) for name in kind.shape.fields}, DEVIATIONS: []})
    generated = {name: unknown(secret=name in kind.shape.secrets) for name in kind.shape.generated}
    return declared | generated


def _after_update(
    kind: Kind, olds: Mapping[str, PropertyValue], news: Mapping[str, PropertyValue]
) -> dict[str, PropertyValue]:
    if renews(kind, state=plain_properties(olds), inputs=plain_properties(news)):
        kept = {name: unknown(secret=name in kind.shape.secrets) for name in kind.shape.generated}
    else:
        kept = {name: olds[name] for name in kind.shape.generated if name in olds}
    return (
        {name: news[name] for name in kind.shape.fields if name in news} | kept | wrapped_properties({DEVIATIONS: []})
    )
