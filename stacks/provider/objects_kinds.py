"""The kinds `coopctl:objects:Bucket` and `:Identity`."""

from collections.abc import Sequence

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.objects import BucketState
from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity
from stacks.provider.kinds import DEVIATIONS, Shape, Stores, mark_deviations, may_delete_data, number, required, text
from stacks.provider.properties import Plain, Properties, State


class BucketResource:
    """A bucket. It is never replaced, and deleted only when it is empty or the provider may delete data."""

    shape = Shape(fields=("name", "versioning", "quotaBytes", "identity", "fenced"), protected=frozenset({"name"}))

    def identifier(self, inputs: Properties) -> str:
        """The bucket's name."""
        return text(inputs.get("name"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """A bucket needs a name."""
        return required("name", inputs.get("name"))

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt the bucket."""
        wanted = _bucket(inputs)
        stores.objects.ensure_bucket(wanted, mark=stores.mark)
        found = stores.objects.read_bucket(wanted)
        made = found or BucketState(name=wanted.name, versioning=wanted.versioning, quota_bytes=wanted.quota_bytes)
        return self._state(made, before=inputs, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The bucket as it is."""
        found = stores.objects.read_bucket(_bucket(state))
        return None if found is None else self._state(found, before=state, stores=stores)

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:  # noqa: ARG002 - the protocol's
        """Bring the bucket to ``inputs`` in place."""
        return self.create(inputs, stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Delete it if it is empty or a final dump holds it; else keep it, closed and marked."""
        name, found = self.identifier(state), stores.objects.read_bucket(_bucket(state))
        may = may_delete_data(found.mark if found else None, stores=stores, what=f"the bucket {name}")
        stores.objects.retire_bucket(name, mark=stores.mark, delete_data=may)

    def _state(self, found: BucketState, *, before: Properties, stores: Stores) -> State:
        deviations: list[Plain] = list(found.deviations)
        return {
            "name": found.name,
            "versioning": found.versioning,
            "quotaBytes": found.quota_bytes,
            "identity": before.get("identity"),
            **({"fenced": True} if before.get("fenced") is True else {}),
            DEVIATIONS: [*deviations, *mark_deviations(found.mark, own=stores.mark)],
        }


class IdentityResource:
    """An identity with one access key; a later create replaces the key, so that none is left that nobody knows."""

    shape = Shape(
        fields=("name", "bucket"),
        replaced_by=frozenset({"name"}),
        generated=("accessKeyId", "secretAccessKey"),
        secrets=frozenset({"secretAccessKey"}),
    )

    def identifier(self, inputs: Properties) -> str:
        """The identity's name."""
        return text(inputs.get("name"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """An identity needs its own name and its bucket's."""
        return [*required("name", inputs.get("name")), *required("bucket", inputs.get("bucket"))]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt the identity; the access key is always a new one."""
        return self._ensured(inputs, known=None, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The identity as it is."""
        known = _access_key(state)
        found = stores.objects.read_identity(_identity(state), key=known.id if known else None)
        if found is None:
            return None
        deviations: list[Plain] = list(found.deviations)
        return {
            "name": found.name,
            "bucket": state.get("bucket"),
            **_key_properties(known),
            DEVIATIONS: [*deviations, *mark_deviations(found.mark, own=stores.mark)],
        }

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:
        """Bring the identity to ``inputs``; a new access key is made only if the known one is gone."""
        return self._ensured(inputs, known=_access_key(state), stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Delete the identity; its bucket's data does not depend on it."""
        stores.objects.drop_identity(self.identifier(state), mark=stores.mark)

    def _ensured(self, inputs: Properties, *, known: AccessKey | None, stores: Stores) -> State:
        made = stores.objects.ensure_identity(_identity(inputs), mark=stores.mark, key=known.id if known else None)
        return {
            "name": inputs.get("name"),
            "bucket": inputs.get("bucket"),
            **_key_properties(made or known),
            DEVIATIONS: [],
        }


def _bucket(inputs: Properties) -> ObjectsBucket:
    name = text(inputs.get("name"))
    return ObjectsBucket(
        key=name,
        name=name,
        versioning=inputs.get("versioning") is True,
        quota_bytes=number(inputs.get("quotaBytes"), default=0),
        identity=text(inputs.get("identity")),
        fenced=inputs.get("fenced") is True,
    )


def _identity(inputs: Properties) -> ObjectsIdentity:
    name = text(inputs.get("name"))
    return ObjectsIdentity(key=name, name=name, bucket=text(inputs.get("bucket")))


def _access_key(state: Properties) -> AccessKey | None:
    key_id, secret = text(state.get("accessKeyId")), text(state.get("secretAccessKey"))
    return AccessKey(id=key_id, secret=Secret(secret)) if key_id and secret else None


def _key_properties(key: AccessKey | None) -> dict[str, Plain | Secret]:
    return {"accessKeyId": key.id if key else None, "secretAccessKey": key.secret if key else None}
