"""The options of a run, by what they are about; `rl.config.Config` joins them. Importing them imports no torch."""
