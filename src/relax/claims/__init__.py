"""The draft's claims, each judged from the result tables by one documented rule.

`judge`: what a row is, and the few ways to decide; the level of the intervals, and what is done
about many comparisons. `theory`, `toy`, `vae`: one small function a claim. `table`: all of them.
"""
