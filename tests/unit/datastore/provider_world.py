"""The provider as Pulumi calls it, over stores in memory, and inputs of every kind of resource."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    ConfigureRequest,
    CreateRequest,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
)

from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_memory import MemoryObjects
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_memory import MemoryPostgres
from provisioner.descriptor.platform import SecretReference
from stacks.provider.configuration import Configuration, to_properties
from stacks.provider.kinds import Stores
from stacks.provider.properties import Plain, plain_properties, wrapped_properties
from stacks.provider.provider import DataStoreProvider
from tests.data_stores import new_tenant

Result = TypeVar("Result")
Properties = dict[str, PropertyValue]

TENANT = new_tenant()
NAMES = TENANT.names
CONFIGURATION = Configuration(
    mark=TENANT.mark,
    postgres=PostgresAccess(host="db", port=5432, user="admin", password=SecretReference(env="PW")),
    objects=ObjectsAccess(url="http://s3", iam_url="http://iam", region="kr", credentials=SecretReference(env="KEY")),
    allowed_extensions=("pgcrypto",),
)
OWNER: dict[str, Plain] = {"name": NAMES.owner_role, "kind": "owner", "login": False, "connectionLimit": 0}
MIGRATION: dict[str, Plain] = {
    "name": NAMES.migration_role,
    "kind": "migration",
    "login": True,
    "memberOf": [NAMES.owner_role],
}
APPLICATION: dict[str, Plain] = {
    "name": NAMES.application_role,
    "kind": "application",
    "login": True,
    "connectionLimit": 5,
    "memberOf": [],
    "settings": {"work_mem": "8MB"},
}
DATABASE: dict[str, Plain] = {
    "name": NAMES.database,
    "owner": NAMES.owner_role,
    "connectionLimit": 20,
    "extensions": ["pgcrypto"],
}
GRANTS: dict[str, Plain] = {
    "database": NAMES.database,
    "owner": NAMES.owner_role,
    "application": NAMES.application_role,
    "reader": NAMES.reader_role,
    "migration": NAMES.migration_role,
    "storageBytes": 0,
}
MEMBERS: dict[str, Plain] = {
    "database": NAMES.database,
    "owner": NAMES.owner_role,
    "application": NAMES.application_role,
    "reader": NAMES.reader_role,
    "members": ["m-1", "m-2"],
    "memberColumn": "",
    "storageBytes": 0,
}
BUCKET: dict[str, Plain] = {
    "name": NAMES.bucket,
    "versioning": True,
    "quotaBytes": 1000,
    "identity": NAMES.objects_identity,
}
IDENTITY: dict[str, Plain] = {"name": NAMES.objects_identity, "bucket": NAMES.bucket}
ALL = {
    "coopctl:postgres:Role": APPLICATION,
    "coopctl:postgres:Database": DATABASE,
    "coopctl:postgres:Grants": GRANTS,
    "coopctl:postgres:Members": MEMBERS,
    "coopctl:objects:Bucket": BUCKET,
    "coopctl:objects:Identity": IDENTITY,
}


def done(work: Awaitable[Result]) -> Result:
    async def run() -> Result:
        return await work

    return asyncio.run(run())


def urn(token: str) -> str:
    return f"urn:pulumi:rice::coopctl::{token}::it"


class World:
    """The provider, configured, over fresh stores in memory."""

    def __init__(self) -> None:
        self.postgres, self.objects = MemoryPostgres(), MemoryObjects()
        self.provider = self.configured()

    def configured(self, **changes: Any) -> DataStoreProvider:
        provider = DataStoreProvider(self.open)
        properties = wrapped_properties(to_properties(replace(CONFIGURATION, **changes)))
        done(provider.configure(ConfigureRequest({}, properties, True, True)))
        return provider

    def open(self, configuration: Configuration) -> Stores:
        return Stores(
            mark=configuration.mark,
            postgres=self.postgres,
            objects=self.objects,
            allowed_extensions=configuration.allowed_extensions,
            final_dump=configuration.final_dump,
        )

    def create(self, token: str, inputs: dict[str, Plain], *, preview: bool = False) -> Properties:
        request = CreateRequest(urn(token), wrapped_properties(inputs), 0, preview)
        return done(self.provider.create(request)).properties

    def read(self, token: str, state: Properties) -> ReadResponse:
        return done(self.provider.read(ReadRequest(urn(token), "it", state, {})))

    def refreshed(self, token: str, state: Properties) -> dict[str, Plain]:
        return plain_properties(self.read(token, state).properties)

    def diff(self, token: str, state: Properties, inputs: dict[str, Plain]) -> DiffResponse:
        return done(self.provider.diff(DiffRequest(urn(token), "it", state, wrapped_properties(inputs), [])))

    def update(
        self, token: str, state: Properties, inputs: dict[str, Plain], *, preview: bool = False
    ) -> dict[str, Plain]:
        request = UpdateRequest(urn(token), "it", state, wrapped_properties(inputs), 0, [], preview)
        return plain_properties(done(self.provider.update(request)).properties)

    def delete(self, token: str, state: Properties, *, provider: DataStoreProvider | None = None) -> None:
        done((provider or self.provider).delete(DeleteRequest(urn(token), "it", state, 0)))

    def problems(self, token: str, inputs: dict[str, Plain]) -> list[str]:
        request = CheckRequest(urn(token), {}, wrapped_properties(inputs), b"")
        return [one.property for one in done(self.provider.check(request)).failures or []]


def filled_world() -> World:
    """With all resources that others depend on."""
    world = World()
    world.create("coopctl:postgres:Role", OWNER)
    world.create("coopctl:postgres:Role", MIGRATION)
    world.create("coopctl:postgres:Database", DATABASE)
    return world
