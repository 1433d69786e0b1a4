"""Attacks at the API server on a tenant of which one guard is weakened: planned once, made until one gets through."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy

from provisioner.proof.attempts import RequestAttempt
from provisioner.proof.proving import request_attempts
from provisioner.proof.running_requests import RequestRunner
from provisioner.proof.verdicts import PROBLEMS, Ending, Finding, settled
from tests.integration.proof.conftest import SETTLING_SECONDS, ProvedWorld
from tests.proof_mutations import Mutation, place

_PAUSE_SECONDS = 0.1
_AT_A_TIME = 4


class Attacks:
    """The attempts of a proof, and the guards that they are aimed at."""

    def __init__(self, world: ProvedWorld) -> None:
        cluster = world.cluster()
        self.world = world
        self.attempts = request_attempts(world.target(cluster), cluster=cluster)
        self._runner = RequestRunner(world.api, askables=cluster.askables)
        guards = (*world.tenant().guards.values(), *world.platform_plan.resources)
        self._manifests = {place(item.manifest): item.manifest for item in guards}

    def through(
        self,
        mutation: Mutation,
        *,
        aimed: Callable[[RequestAttempt], bool],
        noticing: frozenset[Ending] = frozenset({Ending.GOT_THROUGH}),
    ) -> bool:
        """Whether an attempt that is ``aimed`` gets through while a guard is weakened, and none does afterwards.

        With ``noticing`` other endings count, too.

        The API server learns of a change some time later: it is attacked until it has.
        """
        chosen = self._with_controls([one for one in self.attempts if aimed(one)])
        assert chosen, "nothing is aimed at this guard"
        with self.weakened(mutation):
            noticed = self._until(chosen, lambda endings: bool(endings & noticing))
        assert self._until(chosen, lambda endings: not endings & PROBLEMS), "it is not mended"
        return noticed

    def endings(self, aimed: Callable[[RequestAttempt], bool]) -> set[Ending]:
        """How the attempts end that are ``aimed``, as soon as one of them fails to show isolation."""
        chosen = self._with_controls([one for one in self.attempts if aimed(one)])
        self._until(chosen, lambda endings: bool(endings & PROBLEMS))
        return self._endings(chosen)

    @contextmanager
    def weakened(self, mutation: Mutation) -> Iterator[None]:
        """Weaken a guard for a while."""
        manifest = self._manifests[mutation.place]
        anew = mutation.change is None or mutation.what.startswith("roleRef")
        try:
            if anew:
                self.world.api.delete(self.world.path(manifest))
            if mutation.change:
                self.world.put(mutation.change(deepcopy(manifest)))
            yield
        finally:
            (self.world.put_back if anew else self.world.put)(manifest)

    def _until(self, chosen: Sequence[RequestAttempt], enough: Callable[[set[Ending]], bool]) -> bool:
        until = time.monotonic() + SETTLING_SECONDS
        while not enough(self._endings(chosen)):
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _endings(self, chosen: Sequence[RequestAttempt]) -> set[Ending]:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            verdicts = list(pool.map(self._runner.run, chosen))
        found = [Finding(about=one.about, verdict=verdict) for one, verdict in zip(chosen, verdicts, strict=True)]
        return {one.verdict.ending for one in settled(found)}

    def _with_controls(self, chosen: list[RequestAttempt]) -> list[RequestAttempt]:
        needed = {control for one in chosen for control in one.about.rests_on} - {one.about.id for one in chosen}
        return [*chosen, *(one for one in self.attempts if one.about.id in needed)]
