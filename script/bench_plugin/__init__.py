"""The bars of the plugin platform, one module a subject; script/bench plugin runs them.

Each module has `measure(bench)`, where `bench` offers what script/bench has: `hostd(name, config)` makes a hostd with a
configuration and a data directory of its own, `line(…)` prints a figure.
"""
