"""How Numba compiles kernels, and the functions that only kernels call.

Numba's own way makes of each function that another calls all that Python would need to call it too: optimised code, machine
code and wrappers. That was a third of the time that a first image waits for compilation.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from numba import _dynfunc, version_info
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import InlineClosureLikes


class KernelLibrary(JITCodeLibrary):
    """The code of a kernel and of all that it calls."""

    def _optimize_functions(self, module: Any) -> None:
        """Run Numba's passes on each function that the module has: Numba sets them up again for each that it only names."""
        if version_info.short < (0, 62):  # with LLVM's older passes
            super()._optimize_functions(module)
            return
        module.data_layout = self._codegen._data_layout
        manager, builder = self._codegen._function_pass_manager()
        for function in module.functions:
            if not function.is_declaration:
                manager.run(function, builder)


class CalleeLibrary(KernelLibrary):
    """The code of a function that kernels call: with each of them it is optimised, and becomes machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeLowering):
    """The step from Numba's code to LLVM's, for a kernel."""

    _name = "kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        state.flags = state.own_flags
        state.library = KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class CalleeLowering(NativeLowering):
    """The step from Numba's code to LLVM's, for a function that kernels call."""

    _name = "callee_lowering"

    def run_pass(self, state: Any) -> bool:
        state.flags = state.own_flags
        state.flags.no_compile = True
        state.library = CalleeLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        # Callers know a function by what Python would call: here it leads nowhere.
        described, environment = state.cr.fndesc, state.cr.env
        entry = _dynfunc.make_function(
            described.lookup_module(), described.qualname, "", 0, environment, (state.library,)
        )
        state.targetctx.insert_user_function(entry, described, [state.library])
        state.cr = state.cr._replace(cfunc=entry)
        return True


class _Compiler(CompilerBase):
    lowering: type

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        # Numba compiles what a function calls once for each set of the caller's flags. These two do not matter to it;
        # `forceinline` does: what a function that is always inlined calls is always inlined too.
        self.state.own_flags = self.state.flags.copy()
        self.state.flags.release_gil = self.state.flags.no_cpython_wrapper = False

    def define_pipelines(self) -> list:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (self.lowering if step is NativeLowering else step, text)
            for step, text in pipeline.passes
            if step is not InlineClosureLikes  # kernels have no functions of their own, and looking for them takes long
        ]
        pipeline._finalized = False
        pipeline.finalize()
        return [pipeline]


class CalleeCompiler(_Compiler):
    """For functions that only kernels call."""

    lowering = CalleeLowering


class KernelCompiler(_Compiler):
    """For kernels."""

    lowering = KernelLowering

    def compile_extra(self, function: Callable) -> Any:
        with _without_collection():
            return super().compile_extra(function)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Do not look for garbage in cycles: most of what Numba makes stays, and a tenth of its time goes by looking."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
