"""The kinds `coopctl:objects:Bucket` and `:Identity`."""

from collections.abc import Sequence

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.objects import BucketState
from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity
from stacks.provider.kinds import (
    DEVIATIONS,
    ROTATION,
    Shape,
    Stores,
    elsewhere,
    mark_deviations,
    may_delete_data,
    number,
    renews,
    required,
    rotation,
    text,
)
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


HERE_DEVIATION = "it is here still, and its bucket lives elsewhere for good"


class IdentityResource:
    """An identity with one access key; a later create replaces the key, so that none is left that nobody knows.

    With a ``rotation`` its bucket lives elsewhere: there it has a key for each, and what is here of it goes.
    """

    shape = Shape(
        fields=("name", "bucket", ROTATION),
        replaced_by=frozenset({"name"}),
        generated=("accessKeyId", "secretAccessKey"),
        secrets=frozenset({"secretAccessKey"}),
        renewed_by=frozenset({ROTATION}),
    )

    def identifier(self, inputs: Properties) -> str:
        """The identity's name."""
        return text(inputs.get("name"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """An identity needs its own name and its bucket's."""
        return [*required("name", inputs.get("name")), *required("bucket", inputs.get("bucket"))]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt the identity; the access key is always a new one."""
        return self.update({}, inputs, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The identity as it is."""
        known, away = _access_key(state), rotation(state)
        found = stores.objects.read_identity(_identity(state), key=known.id if known and not away else None)
        if away:
            return _away(state, key=known, deviations=[HERE_DEVIATION] if found else [])
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
        """Bring the identity to ``inputs``; a new access key is made if they ask for one, or the known one is gone."""
        known = _access_key(state)
        if not rotation(inputs):
            return self._ensured(inputs, known=known, stores=stores)
        made = _renewed(inputs, before=known, stores=stores) if renews(self, state=state, inputs=inputs) else None
        stores.objects.drop_identity(self.identifier(inputs), mark=stores.mark)
        return _away(inputs, key=made or known, deviations=[])

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


def _renewed(inputs: Properties, *, before: AccessKey | None, stores: Stores) -> AccessKey | None:
    """A new key where the bucket lives; None if its server cannot be asked. Cut off, the next one takes its place."""
    name = text(inputs.get("name"))
    return elsewhere(stores, what=f"the identity {name}").replace_key(name, known=before.id if before else None)


def _away(inputs: Properties, *, key: AccessKey | None, deviations: list[Plain]) -> State:
    """The state of an identity that is nowhere but where its bucket lives."""
    return {
        "name": inputs.get("name"),
        "bucket": inputs.get("bucket"),
        **rotation(inputs),
        **_key_properties(key),
        DEVIATIONS: deviations,
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
    return ObjectsIdentity(
        key=name, name=name, bucket=text(inputs.get("bucket")), rotation=number(inputs.get(ROTATION), default=0)
    )


def _access_key(state: Properties) -> AccessKey | None:
    key_id, secret = text(state.get("accessKeyId")), text(state.get("secretAccessKey"))
    return AccessKey(id=key_id, secret=Secret(secret)) if key_id and secret else None


def _key_properties(key: AccessKey | None) -> dict[str, Plain | Secret]:
    return {"accessKeyId": key.id if key else None, "secretAccessKey": key.secret if key else None}
