"""`diffrender doctor`: what there is on this machine, what works, and what mends the rest."""

import typer

HELP = """Tell what diffrender finds on this machine, try a small render on each backend, and say what mends what is missing.

Example: [cyan]diffrender doctor[/]
"""

_PACKAGES = ("numpy", "numba", "scipy", "pillow", "trimesh", "typer")


def doctor() -> None:
    """Tell what there is, what works, and what mends the rest."""
    import platform

    from diffrender import __version__

    _line("diffrender", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    _line("packages", _packages())
    _line("photos", _photos())
    _line("processor", _processor())
    _line("threads", _threads())
    _line("cache", _cache())
    _line("GPU", _gpu())
    works = _check_cpu()
    _check_cuda()
    if not works:
        raise typer.Exit(1)


def _line(name: str, text: str) -> None:
    import textwrap

    typer.echo(
        textwrap.fill(
            text,
            110,
            initial_indent=f"{name:<11}",
            subsequent_indent=" " * 11,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _packages() -> str:
    from diffrender.cuda.diagnosis import package_version

    extra = ["numba-cuda"] if package_version("numba-cuda") else []
    return ", ".join(f"{name} {package_version(name) or 'missing'}" for name in (*_PACKAGES, *extra))


def _photos() -> str:
    from importlib.util import find_spec

    if find_spec("cv2"):
        return "OpenCV is there: objects before busy backgrounds can be found"
    return (
        "OpenCV is missing: objects are found only before plain backgrounds. Install it with: "
        "pip install 'diffrender-mesh[photo]'"
    )


def _processor() -> str:
    import os
    import platform
    from pathlib import Path

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {_count(cores, 'core')} to use"


def _threads() -> str:
    from diffrender import get_num_threads

    return (
        f"{get_num_threads()}, Python's own: no threading layer such as TBB or OpenMP is needed. "
        "DIFFRENDER_NUM_THREADS sets another number; results do not depend on it"
    )


def _cache() -> str:
    from diffrender.jit import cache_directory

    folder = cache_directory()
    if folder is None:
        return (
            "no folder for compiled kernels can be written, so every process compiles them anew, for some seconds. "
            "Set DIFFRENDER_CACHE_DIR to a folder that can be written"
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{folder} can be written; {size / 1e6:.1f} MB of compiled kernels in it"


def _gpu() -> str:
    from diffrender.cuda.driver import query_driver

    driver = query_driver()
    if driver.problem:
        version = f" (driver for CUDA up to {driver.cuda[0]}.{driver.cuda[1]})" if driver.cuda else ""
        return f"none to use: {driver.problem}{version}"
    gpus = ", ".join(
        f"{gpu.name}, {gpu.memory / 2**30:.0f} GiB, compute capability {gpu.capability[0]}.{gpu.capability[1]}"
        for gpu in driver.gpus
    )
    assert driver.cuda is not None
    return f"{gpus}; driver for CUDA up to {driver.cuda[0]}.{driver.cuda[1]}"


def _check_cpu() -> bool:
    from diffrender.selfcheck import check_backend

    try:
        check = check_backend("cpu")
    except Exception as error:  # a doctor reports what the patient cannot
        from diffrender.cuda.diagnosis import first_line

        _line(
            "cpu",
            f"does NOT work: {type(error).__name__}: {first_line(error)}. Reinstall with: "
            "pip install --force-reinstall diffrender-mesh",
        )
        return False
    _line("cpu", _result(check))
    return check.good


def _check_cuda() -> None:
    from diffrender.cuda.diagnosis import diagnose, first_line
    from diffrender.selfcheck import check_backend

    found = diagnose()
    if not found.usable:
        remedy = f" {found.remedy[0].upper()}{found.remedy[1:]}." if found.remedy else ""
        _line("cuda", f"cannot be used: {found.reason}.{remedy} Everything works on the CPU without it")
        return
    try:
        # The simulator runs every thread as one of Python's: 20 faces take it seconds.
        check = check_backend("cuda", *((0, 12) if found.simulated else ()))
    except Exception as error:
        _line("cuda", f"does NOT work: {type(error).__name__}: {first_line(error)}. The CPU does the same, slower")
        return
    simulated = "in Numba's simulator, for tests (NUMBA_ENABLE_CUDASIM is set): " if found.simulated else ""
    _line("cuda", simulated + _result(check, small=found.simulated))


def _result(check, small: bool = False) -> str:  # type: ignore[no-untyped-def]
    from diffrender.selfcheck import FACES, SIDE

    what = "a small sphere" if small else f"{FACES:,} faces at {SIDE} x {SIDE}"
    verdict = "works" if check.good else "does NOT work: its results are off. Please report it"
    return (
        f"{verdict}; {what} forward and backward in {1000 * check.seconds:.1f} ms; "
        f"off double precision by {check.alpha_error:.0e} (alpha) and {check.gradient_error:.0e} (gradient)"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
