"""Serves the provider to the pulumi CLI over gRPC, as its plugin protocol asks: print the port, then answer.

Errors of ours reach Pulumi's user as one clear message, and coopctl as what they are (provisioner.engine.relaying); of
unforeseen ones only the kind is told, since their text may hold anything. When the CLI is gone (killed, too) the
process ends at once: nobody would record what it still does.
"""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2_grpc

from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.engine.relaying import relayed
from provisioner.errors import CoopctlError
from provisioner.migration.target_credentials import TargetCredentials
from stacks.provider.configuration import Configuration
from stacks.provider.kinds import Stores
from stacks.provider.plugin import PLUGIN_NAME, VERSION
from stacks.provider.provider import DataStoreProvider

MESSAGE_LIMIT_BYTES = 400 * 1024 * 1024  # Pulumi's own limit, for large states
WATCH_SECONDS = 0.5
ORPHANED = 1
Handler = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


def serve(arguments: Sequence[str]) -> None:
    """Serve until the CLI ends or interrupts us."""
    parser = argparse.ArgumentParser(prog=PLUGIN_NAME, description="Pulumi provider of coopctl's data stores")
    parser.add_argument("engine", nargs="?", default="", help="address of the Pulumi engine")
    known, _ = parser.parse_known_args(list(arguments))
    try:
        asyncio.run(_serve(known.engine, parent=os.getppid()))
    except KeyboardInterrupt:
        sys.exit(ORPHANED)


def open_stores(configuration: Configuration) -> Stores:
    """The real servers."""
    return Stores(
        mark=configuration.mark,
        postgres=PostgresServerAdmin(configuration.postgres, environment=os.environ),
        objects=ObjectsServerAdmin(configuration.objects, environment=os.environ),
        allowed_extensions=configuration.allowed_extensions,
        final_dump=configuration.final_dump,
        elsewhere=TargetCredentials(target, environment=os.environ) if (target := configuration.moved_to) else None,
    )


async def _serve(engine: str, *, parent: int) -> None:
    limits = [("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=limits, interceptors=[_ClearErrors()])
    servicer = ProviderServicer([], VERSION, DataStoreProvider(open_stores), engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.gather(server.wait_for_termination(), _end_with(parent))


async def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(WATCH_SECONDS)
    os._exit(ORPHANED)


class _ClearErrors(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Turns what a call raises into a status with a message for people."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _explained(handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _explained(call: Handler) -> Handler:
    async def explained(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await call(request, context)
        except CoopctlError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, relayed(error))
        except NotImplementedError:
            # Pulumi asks for optional calls and goes on without them when it hears this.
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not implemented")
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the process's outermost edge
            sys.stderr.write("".join(traceback.format_tb(error.__traceback__)))
            await context.abort(grpc.StatusCode.INTERNAL, f"{PLUGIN_NAME} failed: {type(error).__name__}")

    return explained
