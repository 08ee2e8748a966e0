"""Compiles a kernel when it first runs, from the very function that serves as its twin in tests.

A kernel is a plain Python function over floats, integers and arrays. Called as it stands it is
slow; `compiled(kernel)` gives the same function through numba. Both run the same operations on
the same doubles in the same order (no fastmath), so they agree to the bit. numba is imported
here and nowhere else, and only on the first call, because it costs a third of a second.

Functions that a kernel calls must stand in its own file: numba stores the machine code beside
the file and looks at nothing but that file to see whether the code is still fresh.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel, signature: str | None = None) -> Kernel:
    """Give the compiled form of a plain function; the machine code is kept between processes.

    Args:
        kernel: a module-level function; plain functions of the same file that it calls are compiled too.
        signature: numba's types of its arguments, if calls with other array kinds (read-only, say)
            shall share one form. Such a form is called without looking at the types again.
    """
    form: Kernel = _compiled(kernel, None) if signature is None else _entry(kernel, signature)
    return form


@cache
def _entry(kernel: FunctionType, signature: str) -> Any:
    """Give the one form of a kernel as a C function, which refuses arrays of another type."""
    dispatcher = _compiled(kernel, signature)
    if isinstance(dispatcher, FunctionType):
        return dispatcher  # NUMBA_DISABLE_JIT is set.
    (form,) = dispatcher.overloads.values()
    return form.entry_point


@cache
def _compiled(kernel: FunctionType, signature: str | None) -> Any:
    from numba import njit

    arguments = () if signature is None else (signature,)
    body = _with_compiled_callees(kernel)
    try:
        return njit(*arguments, cache=True)(body)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        # Neither the package's folder nor the user's cache can be written: compile for this process.
        return njit(*arguments)(body)


def _with_compiled_callees(kernel: FunctionType) -> FunctionType:
    names = dict(kernel.__globals__)
    for name in kernel.__code__.co_names:
        callee = names.get(name)
        if isinstance(callee, FunctionType) and callee.__module__ == kernel.__module__:
            names[name] = _compiled(callee, None)
    body = FunctionType(kernel.__code__, names, kernel.__name__, kernel.__defaults__, kernel.__closure__)
    body.__qualname__ = kernel.__qualname__
    body.__module__ = kernel.__module__
    return body
