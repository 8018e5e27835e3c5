"""`remit.guard`: nothing of a guarded function runs before its permit is durable."""

import functools
import inspect
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar, overload
from uuid import UUID

import msgspec

from remit.model.errors import RemitError, malformed
from remit.model.identity import EntityRef
from remit.model.request import RESOURCE_TYPES, TOOL_CALL, EvaluationRequest
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pep.drive import Streamed, refuse_sent, run, run_async, run_stream, run_stream_async
from remit.pep.gate import Enforcement, Options, enforce
from remit.pep.sdk.arguments import BoundCall, bind
from remit.pep.sdk.context import Working
from remit.pep.sdk.protected import check_protected

P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Makes guards. `working` finds the task in force, or an agent without one."""

    def __init__(self, working: Callable[[], Working]) -> None:
        self._working = working

    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        tool: str | None = None,
        action: str = TOOL_CALL,
        resource: str | None = None,
        resource_type: str = "",
        unguarded: tuple[str, ...] = (),
        wait: float = 0.0,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def __call__(
        self,
        function: Any = None,
        /,
        *,
        tool: str | None = None,
        action: str = TOOL_CALL,
        resource: str | None = None,
        resource_type: str = "",
        unguarded: tuple[str, ...] = (),
        wait: float = 0.0,
    ) -> Any:
        """Guard a function, coroutine function, generator, asynchronous generator or method.

        `tool` is its name in the catalogue (the function's own, if left out). `action` other than `tool.call` names what is done to
        the resource that argument `resource` holds (a path for `file.*`, a host for `net.request`); for an action of the bundle's own,
        `resource_type` is the entity type its schema names. `unguarded` names arguments
        that are no data (connections, callbacks) and not decided on. `wait` is how many seconds a call waits for an approval.
        Calls raise `remit.Denied` where the action may not happen.
        """

        def wrap(bare: Any) -> Any:
            if isinstance(bare, staticmethod | classmethod):
                return type(bare)(wrap(bare.__func__))
            named = tool or bare.__name__
            return _Guarded(bare, self._working, named, action, (resource, resource_type), frozenset(unguarded), wait).wrap()

        return wrap if function is None else wrap(function)


class _Guarded:
    """One guarded function."""

    def __init__(
        self,
        function: Callable[..., Any],
        working: Callable[[], Working],
        tool: str,
        action: str,
        resource: tuple[str | None, str],
        unguarded: frozenset[str],
        wait: float,
    ) -> None:
        self._function = function
        self._working = working
        self._tool = tool
        self._action = action
        self._resource, self._type = resource
        self._signature = inspect.signature(function)
        first = next(iter(self._signature.parameters), "")
        self._unguarded = unguarded | ({first} if first in ("self", "cls") else set())
        # What is passed beside the data (an object, a list to fill) can carry back what the result does not show.
        self._options = Options(wait, _to_text_or_unseen if self._unguarded else to_text)
        unknown = set(self._unguarded) - set(self._signature.parameters)
        if unknown:
            raise TypeError(f"`{tool}` has no argument `{sorted(unknown)[0]}` to leave unguarded")
        named = self._resource
        if (action != TOOL_CALL) != (named is not None) or (named and named not in self._signature.parameters):
            raise TypeError(f"action `{action}` needs `resource=` to name the argument of `{tool}` that holds the resource")

    def wrap(self) -> Callable[..., Any]:
        """The function that is called instead."""
        function = self._function
        if inspect.isasyncgenfunction(function):
            wrapper: Callable[..., Any] = self._async_generator()
        elif inspect.isgeneratorfunction(function):
            wrapper = self._generator()
        elif inspect.iscoroutinefunction(function):
            wrapper = self._coroutine()
        else:
            wrapper = self._plain()
        return functools.wraps(function)(wrapper)

    def _plain(self) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            enforcement, call = self._begin(args, kwargs)
            return run(enforcement, lambda: _done(call.call(self._function), self._tool))

        return guarded

    def _coroutine(self) -> Callable[..., Any]:
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            enforcement, call = self._begin(args, kwargs)
            return await run_async(enforcement, lambda: self._awaited(call))

        return guarded

    async def _awaited(self, call: BoundCall) -> Any:
        return _done(await call.call(self._function), self._tool)

    def _generator(self) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            items = Streamed(self._options.to_text)
            enforcement, call = self._begin(args, kwargs, items)
            return (yield from run_stream(enforcement, lambda: call.call(self._function), items))

        return guarded

    def _async_generator(self) -> Callable[..., Any]:
        async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            items = Streamed(self._options.to_text)
            enforcement, call = self._begin(args, kwargs, items)
            async with aclosing(run_stream_async(enforcement, lambda: call.call(self._function), items)) as stream:
                async for item in stream:
                    refuse_sent((yield item))

        return guarded

    def _begin(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], items: Streamed | None = None
    ) -> tuple[Enforcement, BoundCall]:
        working = self._working()
        call, request = self._request(working, args, kwargs)
        options = self._options if items is None else msgspec.structs.replace(self._options, to_text=items.text)
        return enforce(working.authorizer, request, options), call

    def _request(self, working: Working, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[BoundCall, EvaluationRequest]:
        subject = EntityRef("Agent", working.agent)
        problem = ""
        call = BoundCall(inspect.Signature().bind(), frozenset())
        arguments, resource = NO_ARGUMENTS, EntityRef("Tool", self._tool)
        try:
            call = bind(self._signature, self._unguarded, args, kwargs)
            resource = self._resource_of(call)
            check_protected(working.protected, call.data)
            # INVARIANT (what was decided is what runs): the call's values are copies nobody else holds.
            arguments = freeze(call.data)
        except RemitError as error:
            problem = error.message
        request = EvaluationRequest(subject, self._action, resource, arguments, working.task, working.session, malformed=problem)
        return call, request

    def _resource_of(self, call: BoundCall) -> EntityRef:
        if self._resource is None:
            return EntityRef("Tool", self._tool)
        kind = self._type or RESOURCE_TYPES.get(self._action, "Resource")
        given, value = call.given(self._resource), call.data[self._resource]
        if not isinstance(given, str | PurePath | UUID) or not value or "\x00" in value:
            raise malformed(f"`{self._resource}` names no resource: give its path or name as text")
        if kind == "File":
            # Links are followed before the decision, and the resolved path is what the function gets, in the type it was given.
            value = os.path.realpath(value)
            call.data[self._resource] = value
            call.replace(self._resource, type(given)(value))
        return EntityRef(kind, value)


def _done(result: Any, tool: str) -> Any:
    """The result of a plain function; one that has yet to run would run outside of its permit. Raises `TypeError` for that."""
    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        close = getattr(result, "close", None) or getattr(result, "cancel", None)
        if close is not None:
            close()
        raise TypeError(
            f"`{tool}` returned a `{type(result).__name__}`, which runs after its permit has ended: "
            "guard the function that does the work itself"
        )
    return result


def to_text(result: Any) -> str | None:
    """A result as the text a model would read; None where that cannot be told, so that the worst is assumed."""
    if result is None:
        return ""
    if isinstance(result, str):
        return result
    if isinstance(result, bytes):
        return result.decode("utf-8", "replace")
    try:
        return msgspec.json.encode(result, enc_hook=_visible).decode()
    except (TypeError, ValueError, RecursionError):
        return None


def _to_text_or_unseen(result: Any) -> str | None:
    return None if result is None else to_text(result)


def _visible(value: Any) -> Any:
    """What an object of a library shows of itself (pydantic's way); paths and exceptions as text. Raises `TypeError` for anything else."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump()
    if isinstance(value, PurePath | BaseException):
        return str(value)
    raise TypeError
