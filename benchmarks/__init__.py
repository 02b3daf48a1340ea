"""Benchmarks: peers and diffrender side by side in one run. They need `pip install -e '.[bench]'`."""
