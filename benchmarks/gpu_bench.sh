#!/usr/bin/env bash
# All that only a GPU can show, in one call of under 9 minutes: the tests on the device, compute-sanitizer, accuracy,
# same bits, times. Needs a Python with numba, numba-cuda, scipy, pytest and hypothesis, and an NVIDIA driver.
#   benchmarks/gpu_bench.sh [FOLDER]     results go to FOLDER, or benchmarks/results
#   PART=hard                            takes hard rendering alone, in under 4 minutes
#   PYTHON=/path/to/python               chooses another Python
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=${1:-benchmarks/results}
mkdir -p "$out"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export DIFFRENDER_CACHE_DIR="${DIFFRENDER_CACHE_DIR:-$(mktemp -d)}"
name=$("$python" -c 'from diffrender.cuda.driver import query_driver as q; g = q().gpus; print(g[0].name.lower().replace(" ", "-") if g else "none")')
if [ "$name" = none ]; then
    "$python" -c 'from diffrender.cuda.driver import query_driver as q; print(q().problem)' >&2
    exit 1
fi
log="$out/cuda-$name.log"
failed=0
step() {  # title, seconds, command...
    local title=$1 limit=$2
    shift 2
    echo "== $title" | tee -a "$log"
    timeout "$limit" "$@" >>"$log" 2>&1
    local status=$?
    echo "== $title: $([ $status = 0 ] && echo passed || echo "failed with status $status")" | tee -a "$log"
    [ $status = 0 ] || failed=1
}

: >"$log"
nvidia-smi >>"$log" 2>&1
hard=${PART:-}
compile='import sys, numpy as np, diffrender as dr; from benchmarks.cuda_bench import random_colors, sphere
from diffrender.hard import Cover, draw_hard
v, f = sphere(2, 64, sys.argv[2]); c = random_colors(len(v)).astype(sys.argv[2]); image = np.ones((64, 64, 3), sys.argv[2])
corners = np.arange(f.size).reshape(-1, 3) # torn, it has seams
for v, f, c in (v, f, c), (v[f].reshape(-1, 3), corners, c[f].reshape(-1, 3)):
    out = draw_hard(v, f, (64, 64), dr.Hard(), c, None, Cover(dr.Texture(image), v[:, :2] / 9, f), sys.argv[1])
    out.backward(np.ones((64, 64, 4))); out.jvp(v)'
if [ "$hard" ]; then # side by side, to be found in the cache by what follows
    for backend in cuda cpu; do
        for precision in float32 float64; do
            timeout 90 "$python" -c "$compile" $backend $precision >>"$log" 2>&1 &
        done
    done
    wait
fi
step "accuracy, bits, times" "$([ "$hard" ] && echo 90 || echo 260)" "$python" -m benchmarks.cuda_bench --json "$out/cuda-$name${hard:+-$hard}.json" ${hard:+--hard}
if [ "$hard" ]; then
    step "tests on the device" 80 "$python" -m pytest -q -p no:cacheprovider tests/test_hard.py tests/test_cuda.py tests/test_hard_texture.py \
        -k "(cuda or agree) and (hard or centre or convex or axis or agree)"
else
    step "tests on the device" 170 "$python" -m pytest -q -p no:cacheprovider -k cuda tests/test_rasterize.py tests/test_cuda.py \
        tests/test_backend.py tests/test_texture.py tests/test_coverage.py tests/test_jvp.py
fi
small='import numpy as np, sys; sys.path.insert(0, "tests"); import scenes, diffrender as dr
from diffrender.hard import Cover, draw_hard
for make in scenes.ALL:
    s = make(); c = s.attributes(3).astype(np.float32); v = s.vertices.astype(np.float32)
    laid = Cover(dr.Texture(np.ones((64, 64, 3), np.float32)), v[:, :2] / 9, s.faces)
    out = draw_hard(v, s.faces, s.size, dr.Hard(), c, None, laid, "cuda"); out.backward(np.ones((*s.size, 4))); out.jvp(v)
    if "HARD" == "hard": continue
    dr.rasterize_soft(v, s.faces, s.size, backend="cuda").backward(np.ones(s.size))
    dr.rasterize_soft(v, s.faces, s.size, attributes=c, backend="cuda").backward(np.ones(s.size), np.ones((*s.size, 3)))'
small=${small/HARD/$hard}
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ -x "$sanitizer" ]; then
    tools="memcheck racecheck"
    [ "$hard" ] && tools=memcheck # it has one kernel with shared memory, of one block
    for tool in $tools; do
        step "compute-sanitizer $tool" 60 "$sanitizer" --tool "$tool" --error-exitcode 3 "$python" -c "$small"
    done
else
    echo "== compute-sanitizer is not here: not run" | tee -a "$log"
fi
grep -E "^\{|^==|passed|failed|ERROR SUMMARY|RACECHECK SUMMARY" "$log"
exit $failed
