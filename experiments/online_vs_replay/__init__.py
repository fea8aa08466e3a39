"""Does online distributed training suit recurrent networks better than replay? One package, since it takes a few files.

arms.py says what is compared, tune.py chooses every arm's settings, __main__.py trains and reports, report.py draws;
staleness.py and memory_measures.py look into the agents while they learn.
"""
